//! What can be sent: entities, their columns and children, and the limits of the XSD.

use std::fmt;

/// What a target of a CommerceML sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The tree of groups, written whole.
    Groups,
    /// The properties of goods and their variants, written whole.
    Properties,
    /// Kinds of prices, written whole.
    PriceTypes,
    /// Warehouses, written whole.
    Warehouses,
    /// Goods.
    Goods,
    /// Offers: what is sold, with its prices and stock.
    Offers,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text of so many characters, at least and at most.
    Text(usize, usize),
    /// An exact number.
    Number,
    /// A sum of money: two digits after the point, eighteen in all.
    Money,
}

/// A column an entity or child understands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The target must have it, and every row a value.
    pub(super) required: bool,
}

/// A nested part of an entity.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
}

const fn text(name: &'static str, most: usize) -> Column {
    Column { name, kind: Kind::Text(0, most), required: false }
}

const fn of(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: false }
}

const fn required(column: Column) -> Column {
    Column { required: true, ..column }
}

/// Ids of everything but goods and offers (`ИдентификаторГлобальныйТип`).
const ID: usize = 40;

const NAME: Column = required(text("name", 255));
const SKU: Column = text("sku", 255);
const BARCODE: Column = of("barcode", Kind::Text(8, 14));
const UNIT_CODE: Column = of("unit_code", Kind::Text(3, 4));
const UNIT_NAME: Column = text("unit_name", 255);
const CURRENCY: Column = of("currency", Kind::Text(3, 3));

const GROUPS: &[Column] = &[text("parent", ID), required(text("name", 3000))];
const PROPERTIES: &[Column] = &[NAME, text("kind", 10)];
const PRICE_TYPES: &[Column] = &[NAME, CURRENCY];
const WAREHOUSES: &[Column] = &[NAME];
const GOODS: &[Column] = &[
    SKU,
    BARCODE,
    NAME,
    text("full_name", 1000),
    UNIT_CODE,
    UNIT_NAME,
    text("group", ID),
    text("description", 3000),
    text("vat_rate", 255),
    of("weight", Kind::Number),
    text("country", 255),
    text("manufacturer", 255),
    text("kind", 1000),
];
const OFFERS: &[Column] = &[SKU, NAME, BARCODE, UNIT_CODE, UNIT_NAME, of("quantity", Kind::Number)];

const VALUES: Child = Child { name: "values", columns: &[required(text("id", ID)), required(text("value", 1000))] };
const GOOD_PROPERTIES: Child =
    Child { name: "properties", columns: &[required(text("property", ID)), text("value", 1000)] };
const PRICES: Child = Child {
    name: "prices",
    columns: &[required(text("price_type", ID)), required(of("price", Kind::Money)), CURRENCY],
};
const STOCK: Child =
    Child { name: "stock", columns: &[required(text("warehouse", ID)), required(of("quantity", Kind::Number))] };

impl Entity {
    /// All entities, in the order they are to be sent.
    pub const ALL: [Self; 6] =
        [Self::Groups, Self::Properties, Self::PriceTypes, Self::Warehouses, Self::Goods, Self::Offers];

    /// Its name in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Properties => "properties",
            Self::PriceTypes => "price_types",
            Self::Warehouses => "warehouses",
            Self::Goods => "goods",
            Self::Offers => "offers",
        }
    }

    /// The entity of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name() == name)
    }

    /// Whether it is written as a complete list whenever one of its rows changes.
    pub fn is_whole(self) -> bool {
        !matches!(self, Self::Goods | Self::Offers)
    }

    /// Whether other columns can be sent as requisites.
    pub fn has_requisites(self) -> bool {
        matches!(self, Self::Goods | Self::Offers)
    }

    /// The longest id.
    pub(super) fn id_length(self) -> usize {
        if self.is_whole() { ID } else { 80 }
    }

    /// The columns besides the key.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Groups => GROUPS,
            Self::Properties => PROPERTIES,
            Self::PriceTypes => PRICE_TYPES,
            Self::Warehouses => WAREHOUSES,
            Self::Goods => GOODS,
            Self::Offers => OFFERS,
        }
    }

    /// The children.
    pub(super) fn children(self) -> &'static [Child] {
        match self {
            Self::Properties => &[VALUES],
            Self::Goods => &[GOOD_PROPERTIES],
            Self::Offers => &[PRICES, STOCK],
            Self::Groups | Self::PriceTypes | Self::Warehouses => &[],
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
