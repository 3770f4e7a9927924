//! The whole product, from the command line. The connectors are listed here and nowhere else.

use obmen_cli::{RunningSandbox, Sandbox, SandboxOptions};
use obmen_sandbox::{Options, ShopOptions, TradeOptions};
use obmen_sdk::{Registry, Result};
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

fn main() -> ExitCode {
    let connectors = Registry::new()
        .with(obmen_commerceml::Commerceml)
        .with(obmen_files::Files)
        .with(obmen_odata::Odata)
        .with(obmen_postgres::Postgres)
        .with(obmen_void::Void);
    obmen_cli::main(connectors, Simulators)
}

/// The simulators, for `obmen sandbox`.
#[derive(Debug)]
struct Simulators;

impl Sandbox for Simulators {
    fn start(&self, options: SandboxOptions) -> Pin<Box<dyn Future<Output = Result<RunningSandbox>> + Send>> {
        let user = options.user;
        let trade = options.trade.map(|(folder, addr, password)| TradeOptions {
            addr,
            user: user.clone(),
            ..TradeOptions::of(folder, password.expose())
        });
        let shop = options.shop.map(|(database, addr, password)| ShopOptions {
            database,
            addr,
            user: user.clone(),
            ..ShopOptions::in_memory(password.expose())
        });
        Box::pin(async move {
            let running = obmen_sandbox::serve(Options { trade, shop }).await?;
            let (trade_url, shop_url) = (running.trade_url.clone(), running.shop_url.clone());
            Ok(RunningSandbox { trade_url, shop_url, stop: Box::pin(running.stop()) })
        })
    }
}
