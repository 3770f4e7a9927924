//! The other side, simulated: a 1C that serves OData from a folder, and a shop that speaks `1c_exchange`.
//!
//! Both refuse what the real systems refuse, and misbehave on request. They share no parser and no
//! writer with the product: an independent reader is the point. `README.md` of this crate says which
//! behaviour comes from which fact, and what is not simulated.
//!
//! ```no_run
//! # async fn example() -> obmen_sdk::Result<()> {
//! use obmen_sandbox::{Options, ShopOptions, TradeOptions, serve};
//!
//! let running = serve(Options {
//!     trade: Some(TradeOptions::of("fixtures/trade", "secret")),
//!     shop: Some(ShopOptions::in_memory("secret")),
//! })
//! .await?;
//! println!("{:?} {:?}", running.trade_url, running.shop_url);
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

mod auth;
mod clock;
mod control;
mod fault;
mod reply;
mod server;
pub mod shop;
pub mod trade;
mod wire;

pub use fault::{Fault, FaultState};
pub use server::{Options, Running, serve};
pub use shop::{CookieIn, DeleteMarks, Misbehaviour, Sessid, Shop, ShopControl, ShopFault, ShopOptions, ShopState};
pub use trade::{Trade, TradeControl, TradeFault, TradeMisbehaviour, TradeOptions, TradeState};
