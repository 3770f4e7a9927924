//! Both systems on their ports.

use crate::wire::{Wire, bind};
use crate::{Shop, ShopOptions, Trade, TradeOptions, shop, trade, wire::Peer};
use axum::Router;
use obmen_sdk::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a request under way may take to finish once the sandbox stops.
const GRACE: Duration = Duration::from_secs(2);

/// What to simulate.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The 1C; none, if absent.
    pub trade: Option<TradeOptions>,
    /// The shop; none, if absent.
    pub shop: Option<ShopOptions>,
}

/// The systems as they run. Dropping it stops them at once.
#[derive(Debug)]
pub struct Running {
    /// The connection url of the 1C: `http://127.0.0.1:8100/trade`.
    pub trade_url: Option<String>,
    /// The connection url of the shop: `http://127.0.0.1:8101/1c_exchange`.
    pub shop_url: Option<String>,
    /// The 1C itself, to look into it and to make it misbehave.
    pub trade: Option<Arc<Trade>>,
    /// The shop itself, to look into it and to make it misbehave.
    pub shop: Option<Arc<Shop>>,
    closing: watch::Sender<bool>,
    closed: Arc<AtomicBool>,
    servers: Vec<JoinHandle<()>>,
}

/// Starts what the options name; returns once the ports are open.
///
/// # Errors
/// A folder or database that cannot be opened (see [`Trade::open`], [`Shop::open`]); a port that is taken.
pub async fn serve(options: Options) -> Result<Running> {
    let (closing, _) = watch::channel(false);
    let mut running = Running {
        trade_url: None,
        shop_url: None,
        trade: None,
        shop: None,
        closing,
        closed: Arc::new(AtomicBool::new(false)),
        servers: Vec::new(),
    };
    if let Some(options) = options.trade {
        let address = options.addr;
        let trade = Arc::new(Trade::open(options)?);
        let bound = running.start(address, trade::router(Arc::clone(&trade))).await?;
        running.trade_url = Some(format!("http://{bound}/trade"));
        running.trade = Some(trade);
    }
    if let Some(options) = options.shop {
        let address = options.addr;
        let shop = Arc::new(Shop::open(options)?);
        let bound = running.start(address, shop::router(Arc::clone(&shop))).await?;
        running.shop_url = Some(format!("http://{bound}/1c_exchange"));
        running.shop = Some(shop);
    }
    Ok(running)
}

impl Running {
    /// Stops: no new connections, requests under way may finish for two seconds.
    pub async fn stop(mut self) {
        self.closing.send_replace(true);
        for mut server in std::mem::take(&mut self.servers) {
            if tokio::time::timeout(GRACE, &mut server).await.is_err() {
                server.abort();
            }
        }
    }

    async fn start(&mut self, address: SocketAddr, router: Router) -> Result<SocketAddr> {
        let (listener, bound) = bind(address).await.map_err(|error| Error::from(error).with("url", address))?;
        let wire = Wire::new(listener, Arc::clone(&self.closed));
        let mut closing = self.closing.subscribe();
        let service = router.into_make_service_with_connect_info::<Peer>();
        self.servers.push(tokio::spawn(async move {
            let closed = async move {
                // An error means that the sandbox was dropped: closing all the same.
                let _dropped = closing.wait_for(|closing| *closing).await.is_err();
            };
            if let Err(error) = axum::serve(wire, service).with_graceful_shutdown(closed).await {
                tracing::warn!(%error, "a sandbox server ended");
            }
        }));
        Ok(bound)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        for server in &self.servers {
            server.abort();
        }
    }
}
