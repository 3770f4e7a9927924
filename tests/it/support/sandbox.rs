//! The simulated 1C and shop, on free ports, in this process.

use super::Scene;
use obmen_sandbox::{Options, Running, Shop, ShopControl, ShopFault, ShopOptions, Trade, TradeOptions, serve};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The password of both.
pub(super) const PASSWORD: &str = "sandbox-secret";

/// What stands in a row where the shop knows nothing.
pub(crate) const NOTHING: &str = "∅";

/// A 1C and a shop, or a shop alone. Both stop when dropped.
#[derive(Debug)]
pub(crate) struct Sandbox {
    running: Option<Running>,
    // Last: what runs on it is dropped before.
    runtime: Runtime,
}

impl Sandbox {
    /// A 1C that serves `fixtures/trade` of the scene, and a shop; the scene's profile `sandbox` points at them.
    pub(crate) fn of(scene: &Scene) -> Self {
        let sandbox = Self::serve(Some(&scene.path("fixtures/trade")));
        let running = sandbox.running.as_ref().unwrap();
        let (trade, shop) = (running.trade_url.as_deref().unwrap(), sandbox.shop_url());
        scene.edit("pipelines/obmen.yaml", "http://127.0.0.1:8100/trade", trade);
        scene.edit("pipelines/obmen.yaml", "\"http://127.0.0.1:8101/1c_exchange\"", &format!("\"{shop}\", {BRISK}"));
        sandbox
    }

    /// A shop alone.
    pub(crate) fn shop_only() -> Self {
        Self::serve(None)
    }

    fn serve(trade: Option<&Path>) -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let shop = ShopOptions { addr: anywhere, steps: 1, ..ShopOptions::in_memory(PASSWORD) };
        let trade = trade.map(|folder| TradeOptions { addr: anywhere, ..TradeOptions::of(folder, PASSWORD) });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(serve(Options { trade, shop: Some(shop) })).unwrap();
        Self { running: Some(running), runtime }
    }

    /// The settings of a connection to the shop that waits little.
    pub(crate) fn shop_connection(&self, more: &str) -> String {
        let url = self.shop_url();
        format!(
            "{{ type: commerceml, url: \"{url}\", {BRISK}, user: exchange, password: \"${{env:SHOP_PASSWORD}}\", {more} }}"
        )
    }

    /// The shop.
    pub(crate) fn shop(&self) -> &Shop {
        self.running.as_ref().and_then(|running| running.shop.as_deref()).unwrap()
    }

    /// The 1C.
    pub(crate) fn trade(&self) -> &Trade {
        self.running.as_ref().and_then(|running| running.trade.as_deref()).unwrap()
    }

    /// Lets the shop do wrong what the list says, and nothing else.
    pub(crate) fn misbehave(&self, faults: Vec<ShopFault>) {
        self.shop().control(ShopControl { faults: Some(faults), ..ShopControl::default() }).unwrap();
    }

    /// Lets the shop refuse files with these goods, and no others.
    pub(crate) fn refuse_products(&self, products: &[&str]) {
        let refused = products.iter().map(|&product| product.to_owned()).collect();
        self.shop().control(ShopControl { refuse_products: Some(refused), ..ShopControl::default() }).unwrap();
    }

    /// What the shop's database answers: a text per row, its columns separated by `|`, in order.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        let database = Connection::open_with_flags(self.shop().database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        database.busy_timeout(Duration::from_secs(30)).unwrap();
        let mut statement = database.prepare(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
            let cells: rusqlite::Result<Vec<String>> = (0..columns).map(|at| row.get_ref(at).map(shown)).collect();
            Ok(cells?.join("|"))
        };
        let mut rows: Vec<String> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
        rows.sort();
        rows
    }

    /// The single number a query gives.
    pub(crate) fn number(&self, sql: &str) -> u64 {
        self.rows(sql).concat().parse().unwrap()
    }

    /// Requests of a mode so far; `%` for all modes.
    pub(crate) fn requests(&self, mode: &str) -> u64 {
        self.number(&format!("SELECT count(*) FROM requests WHERE mode LIKE '{mode}'"))
    }

    fn shop_url(&self) -> &str {
        self.running.as_ref().and_then(|running| running.shop_url.as_deref()).unwrap()
    }
}

/// Settings of a shop connection for a test: no rest between two questions.
const BRISK: &str = "import_pause: 5ms";

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        drop(self.running.take());
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => NOTHING.to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        ValueRef::Real(_) | ValueRef::Blob(_) => panic!("the shop keeps texts and whole numbers"),
    }
}
