//! `type: commerceml`: changes into a web shop by the `1c_exchange` protocol, as 1C itself does it.
//!
//! [`Commerceml`] plays the accounting system's side: `checkauth`, `init`, files in pieces, `import` until the shop says
//! `success`. One load is one exchange of one package of changes. The README of this folder says what is guaranteed.

mod archive;
mod exchange;
mod reply;
mod session;
mod settings;
mod sink;
#[cfg(test)]
mod tests;

pub use settings::{Choice, Endpoint, Settings};

use async_trait::async_trait;
use obmen_diagnostics::{Problems, Span, code};
use obmen_formats::commerceml::{Layout, SinkOptions, check_target};
use obmen_sdk::{
    Connection, Connector, Context, Error, ErrorKind, Result, Schemas, Sink, SinkCheck, SinkTarget, Source,
    SourceTarget,
};
use obmen_spec::{Node, decode::decode};
use session::Shop;
use std::sync::Arc;

/// The connector: web shops that speak `1c_exchange`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commerceml;

impl Connector for Commerceml {
    fn name(&self) -> &'static str {
        "commerceml"
    }

    fn about(&self) -> &'static str {
        "Delivers groups, properties, goods, kinds of prices, warehouses and offers to a web shop by CommerceML 2 over \
         HTTP («1c_exchange»: Bitrix, WooCommerce, OpenCart, Okay, Simpla and others), changes only. A row counts as \
         delivered when the shop says `success` to the import of the file it stands in."
    }

    fn schemas(&self) -> Schemas {
        Schemas {
            connection: Some(schemars::schema_for!(Settings)),
            source: None,
            sink: Some(schemars::schema_for!(SinkOptions)),
        }
    }

    fn check(&self, settings: &Node, problems: &mut Problems) {
        let Some(decoded) = decode::<Settings>(settings, problems) else { return };
        for mistake in decoded.mistakes() {
            problems.error(code::INVALID_SETTING, place_of(settings, &mistake), mistake);
        }
    }

    fn check_source(&self, settings: &Node, _entity: &str, options: &Node, problems: &mut Problems) {
        let span = if options.span.start == options.span.end { settings.span } else { options.span };
        let message = "a `commerceml` connection takes changes, nothing can be read from it";
        problems.error(code::INVALID_SETTING, span, message).help("read exported files with `type: files`");
    }

    fn check_sink(&self, _settings: &Node, target: &SinkCheck<'_>, problems: &mut Problems) {
        check_target(target, problems);
    }

    fn open(&self, settings: &Node, context: &Context) -> Result<Arc<dyn Connection>> {
        let mut problems = Problems::new();
        let wrong = |reason: String| Error::new(ErrorKind::InvalidData, reason);
        let Some(settings) = decode::<Settings>(settings, &mut problems) else {
            let all: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
            return Err(wrong(all.join("; ")));
        };
        let url = context.secrets.resolve(&settings.url)?;
        let endpoint = Endpoint::parse(url.expose()).map_err(wrong)?;
        let user = context.secrets.resolve(&settings.user)?;
        let password = context.secrets.resolve(&settings.password)?;
        let shop = Shop::new(&settings, endpoint.clone(), &user, &password, &context.stop)?;
        Ok(Arc::new(Web { shop, endpoint, settings, context: context.clone() }))
    }
}

/// The place of the setting a message begins with, or of all settings.
fn place_of(settings: &Node, message: &str) -> Span {
    let name = message.trim_start_matches('`').split(['`', '.']).next().unwrap_or("");
    settings.as_map().and_then(|map| map.get(name)).map_or(settings.span, |node| node.span)
}

/// One shop.
#[derive(Debug)]
struct Web {
    shop: Shop,
    endpoint: Endpoint,
    settings: Settings,
    context: Context,
}

#[async_trait]
impl Connection for Web {
    fn identity(&self) -> String {
        self.endpoint.identity()
    }

    /// Asks to be let in, and nothing more: `init` would empty the folder another exchange may be using.
    async fn check(&self) -> Result<String> {
        let session = self.shop.check_in().await?;
        tracing::debug!(?session, "let in");
        Ok(format!("{} lets us in", self.endpoint.identity()))
    }

    async fn entities(&self) -> Result<Vec<String>> {
        Err(unreadable())
    }

    async fn source(&self, _target: SourceTarget) -> Result<Arc<dyn Source>> {
        Err(unreadable())
    }

    async fn sink(&self, targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        let layout = Arc::new(Layout::of(&targets)?);
        let package = self.settings.package(self.context.now.naive_utc());
        Ok(Arc::new(sink::Delivery::new(
            self.shop.clone(),
            self.settings.clone(),
            self.context.stop.clone(),
            layout,
            package,
        )))
    }
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Unsupported, "a `commerceml` connection takes changes, nothing can be read from it")
}
