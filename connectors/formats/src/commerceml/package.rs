//! Changes → the files of one exchange.

use super::document::{Document, Items};
use super::entity::Entity;
use super::items::{self, Item};
use super::layout::Layout;
use super::whole::Whole;
use super::write::Xml;
use chrono::NaiveDateTime;
use obmen_sdk::{Changes, Error, Op, Outcome, RejectClass, Result, RowId, SinkTarget};
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Seek, Write};
use std::sync::Arc;

/// How a deletion is said. CommerceML 2.x never removes anything: it marks.
///
/// Shops read different spellings (Bitrix the two elements, Simpla the element, Okay the attribute
/// or the element), so that `all` is the default. The elements stand outside the official XSD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeleteStyle {
    /// `<Товар Статус="Удален">`, as the XSD has it.
    Attr,
    /// `<Статус>Удален</Статус>` inside the product.
    Element,
    /// `<ПометкаУдаления>true</ПометкаУдаления>` inside the product.
    Flag,
    /// All three.
    #[default]
    All,
}

/// An id and a name that stand in every file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The id the shop knows it by, 1 to 39 characters. Changing it later makes a second catalogue in many shops.
    pub id: String,
    /// The name shown in the shop, 1 to 200 characters.
    pub name: String,
}

/// What is the same in every package of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSettings {
    /// `ВерсияСхемы`, at most 5 characters.
    pub version: String,
    /// The XML namespace; `None` writes none (django-cml imports nothing when there is one).
    pub namespace: Option<String>,
    /// How a deletion is said.
    pub delete_style: DeleteStyle,
    /// The catalogue, which is also the classifier, as in 1C.
    pub catalogue: Party,
    /// The owner of the catalogue: the XSD wants one.
    pub owner: Party,
    /// `ДатаФормирования`, without a zone.
    pub made: NaiveDateTime,
}

impl PackageSettings {
    /// The usual settings: version 2.07, namespace `urn:1C.ru:commerceml_2`, all delete marks.
    pub fn new(made: NaiveDateTime) -> Self {
        let party = |id: &str, name: &str| Party { id: id.to_owned(), name: name.to_owned() };
        Self {
            version: "2.07".to_owned(),
            namespace: Some("urn:1C.ru:commerceml_2".to_owned()),
            delete_style: DeleteStyle::default(),
            catalogue: party("obmen-catalogue", "Каталог"),
            owner: party("obmen-owner", "Владелец каталога"),
            made,
        }
    }

    /// Finds settings no shop would take.
    ///
    /// # Errors
    /// What is wrong, as a phrase for a diagnostic.
    pub fn check(&self) -> Result<(), String> {
        let length = |what: &str, text: &str, most: usize| {
            let count = text.chars().count();
            if (1..=most).contains(&count) && !text.contains(char::is_control) {
                return Ok(());
            }
            Err(format!("{what} has {count} characters, expected 1 to {most}"))
        };
        length("`version`", &self.version, 5)?;
        for (name, party) in [("catalogue", &self.catalogue), ("owner", &self.owner)] {
            length(&format!("`{name}.id`"), &party.id, 39)?;
            length(&format!("`{name}.name`"), &party.name, 200)?;
        }
        Ok(())
    }
}

/// One file of a package. `B` is its content, or where that was written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile<B = Vec<u8>> {
    /// `import0_1.xml` or `offers0_1.xml`: shops choose their parser by the beginning of the name.
    pub name: &'static str,
    /// The content: UTF-8 with a BOM.
    pub bytes: B,
    /// The rows that stand in it.
    pub rows: Vec<RowId>,
}

/// The files of one exchange, and the rows that could not be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package<B = Vec<u8>> {
    /// In the order they are to be imported. A file nothing stands in is not there.
    pub files: Vec<PackageFile<B>>,
    /// Rows that were refused before anything was written, each with its outcome.
    pub rejected: Vec<(RowId, Outcome)>,
}

impl<B> Package<B> {
    /// The same without what its files hold.
    pub fn without_content(self) -> Package<()> {
        let files = self.files.into_iter();
        let files = files.map(|file| PackageFile { name: file.name, bytes: (), rows: file.rows }).collect();
        Package { files, rejected: self.rejected }
    }
}

/// Builds a package piece by piece. Everything is a change: `СодержитТолькоИзменения="true"`.
///
/// * The whole item is written for every create and update: all mapped columns, all properties, all
///   prices and stock together. A text that became empty is written as an empty element.
/// * A price that is gone is simply absent: what a shop does with it is the shop's matter (a price of
///   0 would give goods away). A warehouse that is gone is written with the quantity 0.
/// * A deleted offer has its last known prices, `Количество` 0 and 0 in every warehouse.
/// * `Количество` is the column `quantity`, or where that is not mapped or NULL the sum of `stock`.
/// * Without a target `price_types` in the bundle the values of `price_type` are names, and the kinds
///   of prices used are listed with id = name; the same for warehouses.
/// * Properties of a `Справочник` expect the id of the variant as value.
///
/// Goods and offers wait in a store `S` until the lists that stand before them in the file (groups,
/// properties, kinds of prices, warehouses) are complete. [`Writer::new`] keeps them in memory, so a
/// portion bounds it; with [`Writer::through`] they wait in files, and memory is what `add` is given,
/// those lists, 16 bytes per row and 64 KB, however many goods and offers there are.
#[derive(Debug)]
pub struct Writer<S = Cursor<Vec<u8>>> {
    layout: Arc<Layout>,
    settings: PackageSettings,
    wholes: BTreeMap<Entity, Whole>,
    goods: Items<S>,
    offers: Items<S>,
    names: Names,
    import_rows: Vec<RowId>,
    offers_rows: Vec<RowId>,
    rejected: Vec<(RowId, Outcome)>,
}

/// Kinds of prices and warehouses that offers name and no target lists.
#[derive(Debug, Default)]
struct Names {
    /// With the first currency each was used with.
    price_types: BTreeMap<String, Option<String>>,
    warehouses: BTreeSet<String>,
}

/// Builds a package of all changes at once; see [`Writer`].
///
/// # Errors
/// As for [`Layout::of`] and [`Writer::add`].
pub fn package(targets: &[SinkTarget], settings: &PackageSettings, changes: &[Changes]) -> Result<Package> {
    let mut writer = Writer::new(Arc::new(Layout::of(targets)?), settings.clone());
    for changes in changes {
        writer.add(changes)?;
    }
    Ok(writer.finish())
}

impl Writer {
    /// An empty package that is put together in memory.
    pub fn new(layout: Arc<Layout>, settings: PackageSettings) -> Self {
        Self::through(layout, settings, [Cursor::default(), Cursor::default()])
    }

    /// Ends the package.
    pub fn finish(self) -> Package {
        let (documents, rejected) = self.documents();
        Package { files: documents.into_iter().map(Document::into_file).collect(), rejected }
    }
}

impl<S: Read + Write + Seek> Writer<S> {
    /// An empty package whose goods and offers wait in two stores, temporary files for instance. A
    /// store is written from where it stands.
    pub fn through(layout: Arc<Layout>, settings: PackageSettings, [goods, offers]: [S; 2]) -> Self {
        Self {
            layout,
            settings,
            wholes: BTreeMap::new(),
            goods: Items::new(goods),
            offers: Items::new(offers),
            names: Names::default(),
            import_rows: Vec::new(),
            offers_rows: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// Ends the package and writes its files, in order, to what `open` gives for their names. The
    /// files are flushed, not synced.
    ///
    /// # Errors
    /// Those of the stores, of `open` and of what it gives: the files are not complete then.
    pub fn write_to<W: Write>(self, mut open: impl FnMut(&'static str) -> io::Result<W>) -> Result<Package<W>> {
        let (documents, rejected) = self.documents();
        let write = |document: Document<S>| open(document.name).and_then(|out| document.write_to(out));
        let files = documents.into_iter().map(write).collect::<io::Result<_>>()?;
        Ok(Package { files, rejected })
    }

    /// Adds changes of one target. Rows that cannot be written are kept for [`finish`](Self::finish).
    ///
    /// # Errors
    /// `Internal` if the changes are not of the bundle's targets; those of the stores, after which the
    /// writer is of no use any more.
    pub fn add(&mut self, changes: &Changes) -> Result<()> {
        let layout = Arc::clone(&self.layout);
        let target = layout.target(changes.target)?;
        let batches = [Some(&changes.rows), Some(&changes.old), changes.unchanged.as_ref()];
        if !batches.into_iter().flatten().all(|batch| target.is_of(batch)) {
            return Err(Error::internal(format!("a portion of {} has other columns than its target", target.entity)));
        }
        let counts = [changes.rows.num_rows(), changes.old.num_rows(), changes.ops.len()];
        if counts != [changes.len(); 3] {
            return Err(Error::internal(format!("a portion of {} has more ids than rows, or fewer", target.entity)));
        }
        if target.entity.is_whole() {
            self.wholes.entry(target.entity).or_default().add(target, changes, &mut self.rejected);
            return Ok(());
        }
        for (row, (id, op)) in changes.ids.iter().zip(&changes.ops).enumerate() {
            let item = Item {
                target,
                rows: &changes.rows,
                old: &changes.old,
                row,
                op: *op,
                style: self.settings.delete_style,
            };
            if let Err(reason) = self.write(&item, *id)? {
                let before = if *op == Op::Delete { "cannot be marked as deleted: the last known " } else { "" };
                self.rejected.push((*id, Outcome::rejected(RejectClass::Data, format!("{before}{reason}"))));
            }
        }
        // Nothing waits in a buffer when the package ends.
        self.goods.hand_on()?;
        self.offers.hand_on()?;
        Ok(())
    }

    fn write(&mut self, item: &Item<'_>, id: RowId) -> Result<Result<(), String>> {
        if item.target.entity == Entity::Goods {
            return Ok(self.goods.add(id, |xml| items::good(item, xml))?);
        }
        let written = self.offers.add(id, |xml| items::offer(item, xml))?;
        Ok(written.map(|offer| {
            if !self.layout.has(Entity::PriceTypes) {
                self.names.use_price_types(offer.price_types);
            }
            if !self.layout.has(Entity::Warehouses) {
                self.names.use_warehouses(offer.stock.keys());
            }
        }))
    }

    /// The files, in the order they are to be imported.
    fn documents(mut self) -> (Vec<Document<S>>, Vec<(RowId, Outcome)>) {
        let groups = self.whole(Entity::Groups);
        let properties = self.whole(Entity::Properties);
        let price_types = self.whole(Entity::PriceTypes);
        let warehouses = self.whole(Entity::Warehouses);
        let has_import = groups.is_some() || properties.is_some() || !self.goods.is_empty();
        let has_offers = price_types.is_some() || warehouses.is_some() || !self.offers.is_empty();
        let import = has_import.then(|| self.import_file(groups.as_deref(), properties.as_deref()));
        let offers = has_offers.then(|| self.offers_file(price_types, warehouses));
        let (mut goods, mut sold) = (self.goods, self.offers);
        goods.rows.append(&mut self.import_rows);
        sold.rows.append(&mut self.offers_rows);
        let document = |name, (head, tail), items| Document { name, head, items, tail };
        let import = import.map(|around| document("import0_1.xml", around, goods));
        let offers = offers.map(|around| document("offers0_1.xml", around, sold));
        (import.into_iter().chain(offers).collect(), self.rejected)
    }

    /// A complete list, its rows counted to their file; `None` if nothing of it changes.
    fn whole(&mut self, entity: Entity) -> Option<String> {
        let (xml, rows) = self.wholes.remove(&entity)?.finish(entity, &mut self.rejected);
        if rows.is_empty() {
            return None;
        }
        match entity {
            Entity::Groups | Entity::Properties => self.import_rows.extend(rows),
            _ => self.offers_rows.extend(rows),
        }
        Some(xml)
    }

    /// What stands before the goods, and after them.
    fn import_file(&self, groups: Option<&str>, properties: Option<&str>) -> (String, String) {
        let catalogue = &self.settings.catalogue;
        let mut xml = self.begin();
        xml.open("Классификатор", &[]);
        xml.leaf("Ид", &catalogue.id);
        xml.leaf("Наименование", &format!("Классификатор ({})", catalogue.name));
        self.owner(&mut xml);
        list(&mut xml, "Группы", groups);
        list(&mut xml, "Свойства", properties);
        xml.close("Классификатор");
        if self.goods.is_empty() {
            return end(xml, &[]);
        }
        xml.open("Каталог", &[("СодержитТолькоИзменения", "true")]);
        xml.leaf("Ид", &catalogue.id);
        xml.leaf("ИдКлассификатора", &catalogue.id);
        xml.leaf("Наименование", &catalogue.name);
        self.owner(&mut xml);
        xml.open("Товары", &[]);
        end(xml, &["Товары", "Каталог"])
    }

    /// What stands before the offers, and after them.
    fn offers_file(&self, price_types: Option<String>, warehouses: Option<String>) -> (String, String) {
        let catalogue = &self.settings.catalogue;
        let price_types = price_types.or_else(|| items::names_as_price_types(&self.names.price_types));
        let warehouses = warehouses.or_else(|| items::names_as_warehouses(&self.names.warehouses));
        let mut xml = self.begin();
        xml.open("ПакетПредложений", &[("СодержитТолькоИзменения", "true")]);
        xml.leaf("Ид", &format!("{}#", catalogue.id));
        xml.leaf("Наименование", &format!("Пакет предложений ({})", catalogue.name));
        xml.leaf("ИдКаталога", &catalogue.id);
        xml.leaf("ИдКлассификатора", &catalogue.id);
        self.owner(&mut xml);
        list(&mut xml, "ТипыЦен", price_types.as_deref());
        list(&mut xml, "Склады", warehouses.as_deref());
        xml.open("Предложения", &[]);
        end(xml, &["Предложения", "ПакетПредложений"])
    }

    /// The beginning of a file.
    fn begin(&self) -> Xml {
        // Bitrix finds the encoding in double quotes only.
        let mut xml = Xml::default();
        xml.append("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let made = self.settings.made.format("%Y-%m-%dT%H:%M:%S").to_string();
        let namespace = self.settings.namespace.as_deref().map(|namespace| ("xmlns", namespace));
        let attributes = [("ВерсияСхемы", self.settings.version.as_str()), ("ДатаФормирования", made.as_str())];
        let attributes: Vec<_> = namespace.into_iter().chain(attributes).collect();
        xml.open("КоммерческаяИнформация", &attributes);
        xml
    }

    fn owner(&self, xml: &mut Xml) {
        let owner = &self.settings.owner;
        xml.open("Владелец", &[]);
        xml.leaf("Ид", &owner.id);
        xml.leaf("Наименование", &owner.name);
        xml.leaf("ОфициальноеНаименование", &owner.name);
        xml.close("Владелец");
    }
}

impl Names {
    fn use_price_types(&mut self, used: BTreeMap<Cow<'_, str>, Option<Cow<'_, str>>>) {
        for (name, currency) in used {
            match self.price_types.get_mut(name.as_ref()) {
                Some(Some(_)) => {}
                Some(known) => *known = currency.map(Cow::into_owned),
                None => drop(self.price_types.insert(name.into_owned(), currency.map(Cow::into_owned))),
            }
        }
    }

    fn use_warehouses<'a>(&mut self, used: impl Iterator<Item = &'a Cow<'a, str>>) {
        for name in used {
            if !self.warehouses.contains(name.as_ref()) {
                self.warehouses.insert(name.as_ref().to_owned());
            }
        }
    }
}

/// What was written, and what closes the elements that are open: these, and the document.
fn end(mut xml: Xml, open: &[&str]) -> (String, String) {
    let head = xml.take();
    open.iter().chain(&["КоммерческаяИнформация"]).for_each(|name| xml.close(name));
    (head, xml.take())
}

fn list(xml: &mut Xml, name: &str, items: Option<&str>) {
    if let Some(items) = items {
        xml.open(name, &[]);
        xml.append(items);
        xml.close(name);
    }
}
