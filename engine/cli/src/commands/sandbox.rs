//! `obmen sandbox`: the other side, simulated.

use crate::console::{GOOD, STRONG};
use crate::environment;
use crate::exit::{Exit, Failure};
use crate::sandbox::SandboxOptions;
use crate::session::{Session, interrupted};
use crate::text::line;
use obmen_sdk::Secret;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the tables of the simulated 1C are by default.
const TRADE: &str = "fixtures/trade";

/// Starts a simulated 1C (OData) and a simulated web shop (`1c_exchange`), until Ctrl-C.
///
/// They refuse what the real systems refuse. The passwords are those of `TRADE_PASSWORD` and `SHOP_PASSWORD`, so that the same
/// variables serve the profile `sandbox`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen sandbox                                 # then, elsewhere: obmen --profile sandbox run site_catalogue
  obmen sandbox --trade my/tables --shop-database shop.db
  obmen sandbox --no-trade --shop-addr 127.0.0.1:0")]
pub(crate) struct Arguments {
    /// Folder with the tables of the 1C: schema.yaml and CSV files [default: fixtures/trade, if it is there]
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_trade")]
    trade: Option<PathBuf>,

    /// Address of the 1C; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8100")]
    trade_addr: SocketAddr,

    /// No 1C
    #[arg(long, conflicts_with = "no_shop")]
    no_trade: bool,

    /// Address of the shop; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8101")]
    shop_addr: SocketAddr,

    /// Database of the shop, an SQLite file [default: one that vanishes with the shop]
    #[arg(long, value_name = "FILE", conflicts_with = "no_shop")]
    shop_database: Option<PathBuf>,

    /// No shop
    #[arg(long)]
    no_shop: bool,

    /// Login of both
    #[arg(long, value_name = "NAME", default_value = "exchange")]
    user: String,

    /// Password of both [default: `TRADE_PASSWORD` and `SHOP_PASSWORD`, else `sandbox`]
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
}

/// Runs the simulators until Ctrl-C.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let options = SandboxOptions {
        trade: trade(session, arguments)?,
        shop: (!arguments.no_shop).then(|| {
            (arguments.shop_database.clone(), arguments.shop_addr, Secret::new(password(arguments, "SHOP_PASSWORD").0))
        }),
        user: arguments.user.clone(),
    };
    // listening begins before anybody is told that there is something to stop
    let mut stopping = std::pin::pin!(interrupted());
    let heard = futures::poll!(stopping.as_mut()).is_ready();
    let running = session.sandbox.start(options).await?;
    let (trade, shop) = (running.trade_url.as_deref(), running.shop_url.as_deref());
    if session.console.is_json() {
        session.console.json(&json!({ "trade_url": trade, "shop_url": shop, "user": arguments.user }))?;
    } else {
        session.console.result(&told(arguments, trade, shop))?;
    }
    session.console.say("Ctrl-C stops them");
    if !heard {
        stopping.await;
    }
    running.stop.await;
    Ok(Exit::Done)
}

type Trade = Option<(PathBuf, SocketAddr, Secret)>;

fn trade(session: &Session, arguments: &Arguments) -> Result<Trade, Failure> {
    let password = Secret::new(password(arguments, "TRADE_PASSWORD").0);
    match &arguments.trade {
        _ if arguments.no_trade => Ok(None),
        Some(folder) if !folder.is_dir() => Err(Failure::usage(format!("there is no folder {}", folder.display()))),
        Some(folder) => Ok(Some((folder.clone(), arguments.trade_addr, password))),
        None if Path::new(TRADE).is_dir() => Ok(Some((PathBuf::from(TRADE), arguments.trade_addr, password))),
        None if arguments.no_shop => Err(Failure::usage(format!("there is no folder {TRADE}: name one with --trade"))),
        None => {
            session.console.say(&format!("no 1C: there is no folder {TRADE}; --trade names another one"));
            Ok(None)
        }
    }
}

/// A password, and whether it may be shown: one from the environment is somebody's secret.
fn password(arguments: &Arguments, variable: &str) -> (String, bool) {
    match (&arguments.password, environment::variable(variable)) {
        (Some(password), _) => (password.clone(), true),
        (None, Some(password)) if !password.is_empty() => (password, false),
        (None, _) => ("sandbox".to_owned(), true),
    }
}

fn told(arguments: &Arguments, trade: Option<&str>, shop: Option<&str>) -> String {
    let mut text = String::new();
    let systems = [("1C", "TRADE_PASSWORD", trade), ("shop", "SHOP_PASSWORD", shop)];
    let running = systems.into_iter().filter_map(|(name, variable, url)| Some((name, variable, url?)));
    let mut variables = String::new();
    for (name, variable, url) in running {
        line!(text, "{GOOD}{name:<5}{GOOD:#} {url}  user {}", arguments.user);
        let (password, shown) = password(arguments, variable);
        if shown {
            let set = if cfg!(windows) {
                format!("  set {variable}={password}")
            } else {
                format!("  export {variable}={password}")
            };
            line!(variables, "{set}");
        } else {
            line!(variables, "  {variable} is set already");
        }
    }
    line!(text, "\n{STRONG}for the profile of these systems:{STRONG:#}\n{variables}");
    text
}
