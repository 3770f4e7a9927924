//! The simulators as the command line sees them: the program's `main` knows which they are.

use obmen_sdk::{Result, Secret};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;

/// Something that will be there later.
type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The simulators of 1C and of a web shop.
pub trait Sandbox: fmt::Debug + Send + Sync {
    /// Starts what the options name; ready once the ports are open. Called once, inside a tokio runtime.
    ///
    /// # Errors
    /// A folder or database that cannot be opened, a port that is taken.
    fn start(&self, options: SandboxOptions) -> Later<Result<RunningSandbox>>;
}

/// What to start.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The 1C: the folder with its tables, where it listens, its password. `None`: no 1C.
    pub trade: Option<(PathBuf, SocketAddr, Secret)>,
    /// The shop: its database (`None`: nothing is kept), where it listens, its password. `None`: no shop.
    pub shop: Option<(Option<PathBuf>, SocketAddr, Secret)>,
    /// The login of both.
    pub user: String,
}

/// The simulators as they run.
pub struct RunningSandbox {
    /// The address of the 1C, as a connection's `url`.
    pub trade_url: Option<String>,
    /// The address of the shop, as a connection's `url`.
    pub shop_url: Option<String>,
    /// Stops them; requests under way may finish.
    pub stop: Later<()>,
}

impl fmt::Debug for RunningSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RunningSandbox");
        shown.field("trade_url", &self.trade_url).field("shop_url", &self.shop_url).finish_non_exhaustive()
    }
}
