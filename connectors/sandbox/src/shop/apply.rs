//! What a file says, written into the tables.
//!
//! A file touches only what is in it: an absent element leaves the old value, a present one replaces
//! it. Where shops differ, it is done as Bitrix does (`commerceml.md` §2, §4.3).

use super::element::Element;
use super::import::{Rules, Summary, Whole, truth};
use rusqlite::{OptionalExtension as _, ToSql, Transaction, params};
use std::collections::BTreeSet;

/// The tables while one file is applied to them.
pub(crate) struct Catalogue<'a> {
    transaction: &'a Transaction<'a>,
    rules: &'a Rules,
    summary: Summary,
    price_types: BTreeSet<String>,
    warehouses: BTreeSet<String>,
    groups_seen: bool,
}

impl std::fmt::Debug for Catalogue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue").field("summary", &self.summary).finish_non_exhaustive()
    }
}

impl<'a> Catalogue<'a> {
    /// Begins; remembers which price types and warehouses the shop knows.
    pub(crate) fn begin(transaction: &'a Transaction<'a>, rules: &'a Rules) -> Result<Self, String> {
        transaction
            .execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS seen (kind TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
                 DELETE FROM seen;",
            )
            .map_err(sql)?;
        let (price_types, warehouses) =
            (ids(transaction, "SELECT id FROM price_types")?, ids(transaction, "SELECT id FROM warehouses")?);
        Ok(Self { transaction, rules, summary: Summary::default(), price_types, warehouses, groups_seen: false })
    }

    /// What was done.
    pub(crate) fn summary(&self) -> Summary {
        self.summary
    }

    /// A group and the groups inside it.
    pub(crate) fn group(&mut self, parent: Option<&str>, group: &Element) -> Result<(), String> {
        self.groups_seen = true;
        let id = required(group, "Группа")?;
        let name = group.text_of("Наименование").unwrap_or("");
        self.run(
            "INSERT INTO groups (id, parent, name) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, name = excluded.name",
            params![id, parent, name],
        )?;
        self.see("group", id)?;
        for inner in group.nested("Группы", "Группа") {
            self.group(Some(id), inner)?;
        }
        Ok(())
    }

    /// A property and its values.
    pub(crate) fn property(&mut self, property: &Element) -> Result<(), String> {
        let id = required(property, "Свойство")?;
        let name = property.text_of("Наименование").unwrap_or("");
        let kind = property.text_of("ТипЗначений").unwrap_or("Строка");
        self.run(
            "INSERT INTO properties (id, name, kind) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind",
            params![id, name, kind],
        )?;
        for value in property.nested("ВариантыЗначений", "Справочник") {
            let value_id = value.text_of("ИдЗначения").unwrap_or("");
            self.run(
                "INSERT OR REPLACE INTO property_values (property, id, value) VALUES (?1, ?2, ?3)",
                params![id, value_id, value.text_of("Значение").unwrap_or("")],
            )?;
        }
        Ok(())
    }

    /// A kind of prices.
    pub(crate) fn price_type(&mut self, kind: &Element) -> Result<(), String> {
        let id = required(kind, "ТипЦены")?;
        let name = kind.text_of("Наименование").unwrap_or("");
        self.run(
            "INSERT INTO price_types (id, name, currency) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, currency = excluded.currency",
            params![id, name, kind.text_of("Валюта")],
        )?;
        self.price_types.insert(id.to_owned());
        Ok(())
    }

    /// A warehouse.
    pub(crate) fn warehouse(&mut self, warehouse: &Element) -> Result<(), String> {
        let id = required(warehouse, "Склад")?;
        let name = warehouse.text_of("Наименование").unwrap_or("");
        self.run(
            "INSERT INTO warehouses (id, name) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            params![id, name],
        )?;
        self.warehouses.insert(id.to_owned());
        Ok(())
    }

    /// A product.
    pub(crate) fn product(&mut self, whole: &Whole, product: &Element) -> Result<(), String> {
        let id = required(product, "Товар")?;
        self.refuse(id)?;
        self.see("product", id)?;
        let deleted = self.is_deleted(product);
        let version = product.text_of("НомерВерсии");
        let stored = self.stored_product(id)?;
        let unchanged = |stored: &StoredProduct| version.is_some() && stored.version.as_deref() == version;
        if !deleted && stored.as_ref().is_some_and(|stored| unchanged(stored) && !stored.deleted) {
            self.summary.goods += 1;
            return self.run("UPDATE goods SET active = 1, updated = ?2 WHERE id = ?1", params![id, self.rules.now]);
        }
        let name = product.text_of("Наименование").filter(|name| !name.is_empty());
        if stored.is_none() && name.is_none() {
            if deleted {
                return Ok(());
            }
            return Err(format!("Товар {id}: не указано Наименование"));
        }
        let unit = product.child("БазоваяЕдиница");
        let vat = product.nested("СтавкиНалогов", "СтавкаНалога").find_map(|rate| rate.text_of("Ставка"));
        self.run(
            "INSERT INTO goods (id, catalogue, name, sku, barcode, description, unit, unit_code, vat, version, active, deleted, updated)
             VALUES (?1, ?2, coalesce(?3, ''), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (id) DO UPDATE SET
                 catalogue = excluded.catalogue, name = coalesce(?3, name), sku = coalesce(?4, sku),
                 barcode = coalesce(?5, barcode), description = coalesce(?6, description), unit = coalesce(?7, unit),
                 unit_code = coalesce(?8, unit_code), vat = coalesce(?9, vat), version = ?10,
                 active = ?11, deleted = ?12, updated = ?13",
            params![
                id,
                whole.catalogue,
                name,
                product.text_of("Артикул"),
                product.text_of("Штрихкод"),
                product.text_of("Описание"),
                unit.map(|unit| unit.text.as_str()),
                unit.and_then(|unit| unit.attribute("Код")).map(str::trim),
                vat,
                version,
                !deleted,
                deleted,
                self.rules.now
            ],
        )?;
        self.product_parts(id, product)?;
        self.summary.goods += 1;
        Ok(())
    }

    /// An offer. One whose product the shop does not have is ignored without a word.
    pub(crate) fn offer(&mut self, whole: &Whole, offer: &Element) -> Result<(), String> {
        let own = required(offer, "Предложение")?;
        let id = match offer.text_of("ИдХарактеристики").filter(|text| !text.is_empty()) {
            Some(characteristic) => format!("{own}#{characteristic}"),
            None => own.to_owned(),
        };
        let (product, characteristic) = id.split_once('#').map_or((id.as_str(), None), |(a, b)| (a, Some(b)));
        self.refuse(&id)?;
        self.refuse(product)?;
        self.see("offer", &id)?;
        if self.stored_product(product)?.is_none() {
            self.summary.ignored += 1;
            return Ok(());
        }
        let quantity = offer.text_of("Количество").filter(|text| !text.is_empty());
        let quantity = quantity.map(|text| exact(text, &id, "Количество")).transpose()?;
        self.run(
            "INSERT INTO offers (id, product, characteristic, catalogue, name, sku, barcode, unit, quantity, active, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET
                 catalogue = CASE WHEN ?4 = '' THEN catalogue ELSE ?4 END,
                 name = coalesce(?5, name), sku = coalesce(?6, sku), barcode = coalesce(?7, barcode),
                 unit = coalesce(?8, unit), quantity = coalesce(?9, quantity), active = ?10, updated = ?11",
            params![
                id,
                product,
                characteristic,
                whole.catalogue,
                offer.text_of("Наименование"),
                offer.text_of("Артикул"),
                offer.text_of("Штрихкод"),
                offer.text_of("БазоваяЕдиница"),
                quantity,
                !self.is_deleted(offer),
                self.rules.now
            ],
        )?;
        self.prices(&id, offer)?;
        self.stock(&id, offer)?;
        self.summary.offers += 1;
        Ok(())
    }

    /// The end of a catalogue: a full upload deletes what was not in it.
    pub(crate) fn finish_goods(&mut self, whole: &Whole) -> Result<(), String> {
        self.run(
            "INSERT INTO catalogues (id, name, imported) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, imported = excluded.imported",
            params![whole.catalogue, whole.name, self.rules.now],
        )?;
        if whole.changes_only == Some(true) {
            return Ok(());
        }
        if whole.listed {
            self.delete(
                "DELETE FROM goods WHERE catalogue = ?1 AND id NOT IN (SELECT id FROM seen WHERE kind = 'product')",
                params![whole.catalogue],
            )?;
        }
        if self.groups_seen {
            self.delete("DELETE FROM groups WHERE id NOT IN (SELECT id FROM seen WHERE kind = 'group')", params![])?;
        }
        Ok(())
    }

    /// The end of a package: a full upload deletes what was not in it.
    pub(crate) fn finish_offers(&mut self, whole: &Whole) -> Result<(), String> {
        if whole.quick || whole.changes_only == Some(true) || !whole.listed {
            return Ok(());
        }
        self.delete(
            "DELETE FROM offers WHERE catalogue = ?1 AND id NOT IN (SELECT id FROM seen WHERE kind = 'offer')",
            params![whole.catalogue],
        )
    }

    fn product_parts(&self, id: &str, product: &Element) -> Result<(), String> {
        if product.child("Группы").is_some() {
            self.run("DELETE FROM goods_groups WHERE product = ?1", params![id])?;
            for group in product.nested("Группы", "Ид") {
                self.run("INSERT OR IGNORE INTO goods_groups VALUES (?1, ?2)", params![id, group.text])?;
            }
        }
        if product.child("ЗначенияСвойств").is_some() {
            self.run("DELETE FROM goods_properties WHERE product = ?1", params![id])?;
            for part in product.nested("ЗначенияСвойств", "ЗначенияСвойства") {
                let property = required(part, "ЗначенияСвойства")?;
                for value in part.all("Значение").filter(|value| !value.text.is_empty()) {
                    let row = params![id, property, value.text];
                    self.run("INSERT OR IGNORE INTO goods_properties VALUES (?1, ?2, ?3)", row)?;
                }
            }
        }
        if product.child("ЗначенияРеквизитов").is_some() {
            self.run("DELETE FROM goods_requisites WHERE product = ?1", params![id])?;
            for part in product.nested("ЗначенияРеквизитов", "ЗначениеРеквизита") {
                let (name, value) =
                    (part.text_of("Наименование").unwrap_or(""), part.text_of("Значение").unwrap_or(""));
                self.run("INSERT OR IGNORE INTO goods_requisites VALUES (?1, ?2, ?3)", params![id, name, value])?;
            }
        }
        if product.child("Картинка").is_some() {
            self.run("DELETE FROM goods_pictures WHERE product = ?1", params![id])?;
            for (position, picture) in (0_i64..).zip(product.all("Картинка").filter(|part| !part.text.is_empty()))
            {
                self.run("INSERT INTO goods_pictures VALUES (?1, ?2, ?3)", params![id, position, picture.text])?;
            }
        }
        Ok(())
    }

    /// `Цены` replaces all prices of the offer; a price of an unknown type is ignored.
    fn prices(&self, offer_id: &str, offer: &Element) -> Result<(), String> {
        if offer.child("Цены").is_none() {
            return Ok(());
        }
        self.run("DELETE FROM prices WHERE offer = ?1", params![offer_id])?;
        for price in offer.nested("Цены", "Цена") {
            let kind = price.text_of("ИдТипаЦены").unwrap_or("");
            if !self.price_types.contains(kind) {
                continue;
            }
            let amount = exact(price.text_of("ЦенаЗаЕдиницу").unwrap_or(""), offer_id, "ЦенаЗаЕдиницу")?;
            self.run(
                "INSERT OR REPLACE INTO prices (offer, price_type, price, currency, unit, ratio) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    offer_id,
                    kind,
                    amount,
                    price.text_of("Валюта"),
                    price.text_of("Единица"),
                    price.text_of("Коэффициент")
                ],
            )?;
        }
        Ok(())
    }

    /// All four spellings of stock; each touches the warehouses it names, an unknown warehouse is ignored.
    fn stock(&self, offer_id: &str, offer: &Element) -> Result<(), String> {
        for place in offer.all("Склад").chain(offer.all("Склады")) {
            let (Some(warehouse), Some(quantity)) =
                (place.attribute("ИдСклада"), place.attribute("КоличествоНаСкладе"))
            else {
                continue;
            };
            self.put_stock(offer_id, warehouse, quantity)?;
        }
        for place in offer.nested("КоличествоНаСкладах", "КоличествоНаСкладе") {
            let quantity = place.text_of("Количество").unwrap_or("");
            self.put_stock(offer_id, place.text_of("ИдСклада").unwrap_or(""), quantity)?;
        }
        for rest in offer.nested("Остатки", "Остаток") {
            for place in rest.all("Склад") {
                let quantity = place.text_of("Количество").unwrap_or("");
                self.put_stock(offer_id, place.text_of("Ид").unwrap_or(""), quantity)?;
            }
            if let Some(total) = rest.text_of("Количество") {
                let total = exact(total, offer_id, "Количество")?;
                self.run("UPDATE offers SET quantity = ?2 WHERE id = ?1", params![offer_id, total])?;
            }
        }
        Ok(())
    }

    fn put_stock(&self, offer: &str, warehouse: &str, quantity: &str) -> Result<(), String> {
        if !self.warehouses.contains(warehouse) {
            return Ok(());
        }
        let quantity = exact(quantity, offer, "Количество")?;
        self.run(
            "INSERT OR REPLACE INTO stock (offer, warehouse, quantity) VALUES (?1, ?2, ?3)",
            params![offer, warehouse, quantity],
        )
    }

    fn is_deleted(&self, element: &Element) -> bool {
        let marks = self.rules.delete_marks;
        let says = |text: Option<&str>| text.is_some_and(|text| matches!(text.trim(), "Удален" | "Удалён"));
        (marks.attribute && says(element.attribute("Статус")))
            || (marks.status && says(element.text_of("Статус")))
            || (marks.flag && element.text_of("ПометкаУдаления").and_then(truth) == Some(true))
    }

    fn refuse(&self, id: &str) -> Result<(), String> {
        if self.rules.refuse.contains(id) {
            return Err(format!("Товар {id} отвергнут"));
        }
        Ok(())
    }

    fn stored_product(&self, id: &str) -> Result<Option<StoredProduct>, String> {
        let mut statement =
            self.transaction.prepare_cached("SELECT version, deleted FROM goods WHERE id = ?1").map_err(sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok(StoredProduct { version: row.get(0)?, deleted: row.get(1)? });
        statement.query_row(params![id], read).optional().map_err(sql)
    }

    fn see(&self, kind: &str, id: &str) -> Result<(), String> {
        self.run("INSERT OR IGNORE INTO seen VALUES (?1, ?2)", params![kind, id])
    }

    fn delete(&mut self, statement: &str, values: &[&dyn ToSql]) -> Result<(), String> {
        let gone = self.transaction.execute(statement, values).map_err(sql)?;
        self.summary.deleted += u64::try_from(gone).unwrap_or(u64::MAX);
        Ok(())
    }

    fn run(&self, statement: &str, values: &[&dyn ToSql]) -> Result<(), String> {
        self.transaction.prepare_cached(statement).and_then(|mut ready| ready.execute(values)).map_err(sql)?;
        Ok(())
    }
}

struct StoredProduct {
    version: Option<String>,
    deleted: bool,
}

fn required<'a>(element: &'a Element, what: &str) -> Result<&'a str, String> {
    element.text_of("Ид").filter(|id| !id.is_empty()).ok_or_else(|| format!("{what}: не указан Ид"))
}

/// The number as it was written, without spaces, with a point.
fn exact(text: &str, offer: &str, field: &str) -> Result<String, String> {
    let number: String = text.chars().filter(|c| !c.is_whitespace()).map(|c| if c == ',' { '.' } else { c }).collect();
    let digits = number.strip_prefix(['-', '+']).unwrap_or(&number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits(whole) && all_digits(fraction) {
        return Ok(number);
    }
    Err(format!("Предложение {offer}: {field} не является числом: {text}"))
}

fn ids(transaction: &Transaction<'_>, query: &str) -> Result<BTreeSet<String>, String> {
    let mut statement = transaction.prepare(query).map_err(sql)?;
    let rows = statement.query_map(params![], |row| row.get(0)).map_err(sql)?;
    rows.collect::<rusqlite::Result<_>>().map_err(sql)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn sql(error: rusqlite::Error) -> String {
    format!("Ошибка базы данных: {error}")
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn numbers_keep_their_digits() {
        for (written, kept) in [("12.50", "12.50"), ("1 200,5", "1200.5"), ("-3", "-3"), ("1\u{a0}000", "1000")] {
            assert_eq!(exact(written, "x", "y").as_deref(), Ok(kept));
        }
        for bad in ["", "abc", "1.", ".5", "1e3", "1.2.3"] {
            assert!(exact(bad, "x", "y").is_err(), "{bad}");
        }
    }
}
