//! CommerceML 2.x: catalogues, prices and stock, as 1C and web shops write and read them.
//!
//! **Reading** ([`read()`]) turns one file of any of the dialects met in practice (2.03 without a
//! namespace, 2.05, 2.07, 2.08 with the namespace `_210`, the 2.09 files `prices`/`rests` of the
//! module for Bitrix) into rows of fixed [relations](relations): elements are taken by local name
//! and in any order, the encoding is decided by the bytes and only then by the declaration, a DTD
//! and entities of one's own are refused.
//!
//! **Writing** ([`Writer`], [`package`]) turns changes of a sink into the two files of an exchange,
//! `import0_1.xml` and `offers0_1.xml`, valid against the official XSD 2.08–2.10 as far as the
//! delete marks allow (see [`DeleteStyle`]).
//!
//! The facts come from the official schemas 2.08–2.10, from files of 1C (UT 10 and 11, UNF, the
//! module for Bitrix) and from the source of the shops that read them.

mod abilities;
mod cell;
mod document;
mod encoding;
mod entity;
mod items;
mod layout;
mod number;
mod package;
mod read;
mod relation;
mod text;
mod tree;
mod unit;
mod whole;
mod write;
mod xml;

#[cfg(test)]
mod tests;

pub use abilities::{SinkOptions, abilities, check_target};
pub use entity::Entity;
pub use layout::Layout;
pub use package::{DeleteStyle, Package, PackageFile, PackageSettings, Party, Writer, package};
pub use read::read;
pub use relation::{relations, schema};
