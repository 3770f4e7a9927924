//! Loads: each is one package in one exchange.

use crate::exchange::Exchange;
use crate::session::{Session, Shop};
use crate::settings::Settings;
use async_trait::async_trait;
use obmen_formats::commerceml::{Layout, PackageSettings, Writer};
use obmen_sdk::{Changes, Load, LoadId, Outcome, Repetition, Result, RowId, Sink, SinkAbilities, Stop};
use std::sync::Arc;

/// The sink: all targets of a run in one shop.
#[derive(Debug)]
pub(crate) struct Delivery {
    exchange: Arc<Means>,
    layout: Arc<Layout>,
    package: PackageSettings,
}

/// What every exchange needs.
#[derive(Debug)]
struct Means {
    shop: Shop,
    settings: Settings,
    stop: Stop,
}

impl Delivery {
    pub(crate) fn new(
        shop: Shop,
        settings: Settings,
        stop: Stop,
        layout: Arc<Layout>,
        package: PackageSettings,
    ) -> Self {
        Self { exchange: Arc::new(Means { shop, settings, stop }), layout, package }
    }
}

#[async_trait]
impl Sink for Delivery {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities {
            targets: self.layout.abilities(),
            order: self.layout.order(),
            portion_rows: self.exchange.settings.portion,
            repetition: Repetition::Harmless,
            exclusive: true,
            find: false,
        }
    }

    /// Asks to be let in, so that a dead shop or a wrong password is known before a row is in doubt.
    async fn begin(&self, load: &LoadId) -> Result<Box<dyn Load>> {
        let session = self.exchange.shop.check_in().await?;
        tracing::debug!(load = load.0, "let in");
        let writer = Writer::new(Arc::clone(&self.layout), self.package.clone());
        Ok(Box::new(Portion { means: Arc::clone(&self.exchange), session, writer }))
    }
}

/// One load: nothing leaves before the whole package is built.
struct Portion {
    means: Arc<Means>,
    session: Session,
    writer: Writer,
}

#[async_trait]
impl Load for Portion {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        self.writer.add(changes)?;
        Ok(Vec::new())
    }

    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        let Self { means, session, writer } = *self;
        let mut package = writer.finish();
        let mut settled = std::mem::take(&mut package.rejected);
        let exchange = Exchange::new(&means.shop, &means.settings, &means.stop, package);
        settled.extend(exchange.run(session).await);
        Ok(settled)
    }
}
