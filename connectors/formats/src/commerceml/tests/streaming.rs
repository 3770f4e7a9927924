//! Documents of any size pass through: nothing is held but a batch and a buffer.

use super::build::{batch, changes, children, decimals, target, texts};
use crate::commerceml::{Layout, PackageSettings, Writer, package, read};
use obmen_sdk::{Changes, Op};
use std::cell::Cell;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

const BUFFER: usize = 64 << 10;

/// A document that is made while it is read.
struct Growing<'a> {
    item: &'a str,
    items: usize,
    ready: Cursor<Vec<u8>>,
    made: &'a Cell<usize>,
}

const HEAD: &str = "<КоммерческаяИнформация><ПакетПредложений><Предложения>";
const TAIL: &str = "</Предложения></ПакетПредложений></КоммерческаяИнформация>";

impl Read for Growing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.ready.read(into)?;
        if count > 0 || self.items == 0 {
            return Ok(count);
        }
        self.items -= 1;
        self.made.set(self.made.get() + self.item.len());
        let end = if self.items == 0 { TAIL } else { "" };
        self.ready = Cursor::new(format!("{}{end}", self.item).into_bytes());
        self.ready.read(into)
    }
}

#[test]
fn rows_are_handed_over_while_the_document_is_still_growing() {
    let price = "<Цена><ИдТипаЦены>розничная</ИдТипаЦены><ЦенаЗаЕдиницу>12.50</ЦенаЗаЕдиницу></Цена>";
    let item =
        format!("<Предложение><Ид>1</Ид><Наименование>Болт</Наименование><Цены>{price}{price}</Цены></Предложение>\n");
    let (items, rows_per_batch, made) = (20_000, 100, Cell::new(0));
    let document = Growing { item: &item, items, ready: Cursor::new(HEAD.into()), made: &made };
    let mut rows = 0;
    read("prices", "f.xml", BufReader::with_capacity(BUFFER, document), rows_per_batch, &mut |batch| {
        rows += batch.rows.num_rows();
        // Two rows of prices are one item.
        let taken = rows / 2 * item.len();
        assert!(made.get() - taken <= BUFFER + (rows_per_batch + 2) * item.len(), "{} of {taken}", made.get());
        let arrays = batch.rows.columns().iter().map(|column| column.get_array_memory_size());
        assert!(arrays.sum::<usize>() < rows_per_batch * 1_024);
        Ok(())
    })
    .unwrap();
    assert_eq!(rows, items * 2);
}

#[test]
fn a_batch_of_long_texts_is_handed_over_before_it_has_all_its_rows() {
    let text = "я".repeat(1 << 20);
    let item = format!("<Предложение><Ид>1</Ид><Наименование>{text}</Наименование></Предложение>");
    let document = format!("{HEAD}{}{TAIL}", item.repeat(20));
    let mut batches = Vec::new();
    read("offers", "f.xml", document.as_bytes(), 8192, &mut |batch| {
        batches.push(batch.rows.num_rows());
        Ok(())
    })
    .unwrap();
    assert_eq!(batches, [8, 8, 4], "16 MiB are 8 texts of 2 MiB");
}

/// A store that knows how much it was given at once.
#[derive(Debug, Default)]
struct Store {
    inner: Cursor<Vec<u8>>,
    largest: usize,
}

impl Write for Store {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.largest = self.largest.max(bytes.len());
        assert!(self.largest <= BUFFER + 1_024, "{} bytes were held", self.largest);
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Store {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.inner.read(into)
    }
}

impl Seek for Store {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Offers with a price and a warehouse; every tenth has no name and is refused.
fn portion(first: u64, rows: usize) -> Changes {
    let every = |text: &'static str| texts(std::iter::repeat_n(Some(text), rows));
    let offers = batch(vec![
        ("id", texts((first..).take(rows).map(|id| Some(&*id.to_string().leak())))),
        ("name", texts((0..rows).map(|row| (row % 10 != 3).then_some("Болт <М8>")))),
        (
            "prices",
            children(vec![("price_type", every("Опт")), ("price", decimals(2, vec![Some(100); rows]))], &vec![1; rows]),
        ),
        (
            "stock",
            children(
                vec![("warehouse", every("Юг")), ("quantity", decimals(3, vec![Some(500); rows]))],
                &vec![1; rows],
            ),
        ),
    ]);
    changes(0, Op::Create, first, offers)
}

#[test]
fn offers_that_wait_in_a_store_make_the_same_package() {
    let portions: Vec<Changes> = (0..8_u64).map(|at| portion(at * 500, 500)).collect();
    let targets = [target("offers", &portions[0].rows)];
    let settings = PackageSettings::new(chrono::NaiveDateTime::default());
    let in_memory = package(&targets, &settings, &portions).unwrap();
    let layout = Arc::new(Layout::of(&targets).unwrap());
    let mut writer = Writer::through(layout, settings, [Store::default(), Store::default()]);
    for portion in &portions {
        writer.add(portion).unwrap();
    }
    let through = writer.write_to(|_| Ok(Store::default())).unwrap();
    let [file] = &through.files[..] else { panic!("one file") };
    assert!(in_memory.files[0].bytes.len() > 16 * BUFFER);
    assert_eq!((through.rejected.len(), file.rows.len()), (400, 3_600));
    assert_eq!((&through.rejected, &file.rows), (&in_memory.rejected, &in_memory.files[0].rows));
    assert!(*file.bytes.inner.get_ref() == in_memory.files[0].bytes);
    assert!(file.bytes.largest <= BUFFER, "{} bytes were held", file.bytes.largest);
}
