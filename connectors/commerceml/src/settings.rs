//! What `type: commerceml` says in `obmen.yaml`.

use obmen_formats::commerceml::{DeleteStyle, PackageSettings, Party};
use obmen_sdk::TimeSpan;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// A web shop (or anything else) that takes catalogues by the `1c_exchange` protocol.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the shop takes exchanges, as 1C has it in its settings: `https://shop.example/bitrix/admin/1c_exchange.php`,
    /// `https://shop.example/?wc1c=exchange`. With only a host, `/bitrix/admin/1c_exchange.php` is added.
    pub url: String,
    /// The name the shop lets in.
    #[serde(default)]
    pub user: String,
    /// Its password, as `${env:NAME}` or `${secret:name}`.
    #[serde(default)]
    pub password: String,
    /// `auto` packs everything into one archive if the shop asks for it; `never` sends plain files.
    #[serde(default)]
    pub zip: Choice,
    /// `auto` sends the session token back to a shop that gives one. Bitrix then wants it from everybody for ever, an
    /// older 1C on the same site too: `never` leaves it out.
    #[serde(default)]
    pub sessid: Choice,
    /// The XML namespace, or `none` (django-cml imports nothing when there is one).
    #[serde(default = "namespace")]
    pub namespace: String,
    /// The version of CommerceML that files say they are in.
    #[serde(default = "version")]
    pub version: String,
    /// How a deletion is said: `attr` (`Статус="Удален"`), `element` (`<Статус>`), `flag` (`<ПометкаУдаления>`) or `all`
    /// (default): shops read different ones.
    #[serde(default)]
    pub delete_style: DeleteStyle,
    /// How many rows go in one exchange. Default: 1000.
    #[serde(default = "portion")]
    pub portion: usize,
    /// How long the connection may take to stand. Default: `15s`.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: TimeSpan,
    /// How long the shop may be silent when it is asked to let us in or to take a piece of a file. Default: `3m`.
    #[serde(default = "timeout")]
    pub timeout: TimeSpan,
    /// How long the shop may be silent when it imports: some shops do all of it in one go. Default: `10m`.
    #[serde(default = "import_timeout")]
    pub import_timeout: TimeSpan,
    /// The first pause between two questions whether an import is done; it grows up to ten times. Default: `500ms`.
    #[serde(default = "import_pause")]
    pub import_pause: TimeSpan,
    /// How long the import of one file may take in all. Default: `1h`.
    #[serde(default = "import_deadline")]
    pub import_deadline: TimeSpan,
    /// How long an import may report the same progress before it is given up as stuck. Default: `10m`.
    #[serde(default = "import_stuck")]
    pub import_stuck: TimeSpan,
    /// How often an exchange is begun anew when an answer was lost. Default: 2.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Looks for `success`, `progress` or `failure` in the first three lines of an answer: for shops whose PHP prints
    /// notices before it. Default: `false`.
    #[serde(default)]
    pub lenient_first_lines: bool,
    /// The catalogue the shop files our goods under.
    #[serde(default = "catalogue")]
    pub catalogue: Party,
    /// Whose catalogue it is.
    #[serde(default = "owner")]
    pub owner: Party,
}

/// Whether to do what the shop proposes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// If the shop proposes it.
    #[default]
    Auto,
    /// Not even then.
    Never,
}

/// Where the shop is: the part state belongs to, and the query that picks the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://shop.example:8443`
    pub origin: String,
    /// `/bitrix/admin/1c_exchange.php`
    pub path: String,
    /// `wc1c=exchange`; empty if there is none.
    pub query: String,
}

impl Endpoint {
    /// Reads the address of a shop.
    ///
    /// # Errors
    /// What is wrong, as a phrase for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("`url` is no address: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("`url` is no address of a shop, expected `http://…` or `https://…`".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("`url` has a user or password in it, write them as `user` and `password`".to_owned());
        }
        if url.fragment().is_some() {
            return Err("`url` has a `#` part, which no shop ever sees".to_owned());
        }
        let query = url.query().unwrap_or("").to_owned();
        let bare = url.path() == "/" && query.is_empty();
        let path = if bare { "/bitrix/admin/1c_exchange.php" } else { url.path() };
        Ok(Self { origin: url.origin().ascii_serialization(), path: path.to_owned(), query })
    }

    /// What state belongs to: no user, no password, no query.
    pub fn identity(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

impl Settings {
    /// What stands in every package made at a moment.
    pub fn package(&self, made: chrono::NaiveDateTime) -> PackageSettings {
        PackageSettings {
            version: self.version.clone(),
            namespace: (self.namespace != "none").then(|| self.namespace.clone()),
            delete_style: self.delete_style,
            catalogue: self.catalogue.clone(),
            owner: self.owner.clone(),
            made,
        }
    }

    /// Everything that is wrong beyond types, as phrases for diagnostics.
    pub fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        // A secret or variable in the address is only known when the connection opens.
        if !self.url.contains("${") {
            found.extend(Endpoint::parse(&self.url).err());
        }
        found.extend(self.package(chrono::NaiveDateTime::default()).check().err());
        if self.portion == 0 {
            found.push("`portion` is 0, expected at least 1".to_owned());
        }
        for (name, time) in [
            ("connect_timeout", self.connect_timeout),
            ("timeout", self.timeout),
            ("import_timeout", self.import_timeout),
            ("import_deadline", self.import_deadline),
            ("import_stuck", self.import_stuck),
        ] {
            if time.duration().is_zero() {
                found.push(format!("`{name}` is {time}, expected a time above zero"));
            }
        }
        if self.namespace.trim().is_empty() {
            found.push("`namespace` is empty, write `none` for no namespace".to_owned());
        }
        found
    }
}

fn namespace() -> String {
    "urn:1C.ru:commerceml_2".to_owned()
}

fn version() -> String {
    "2.07".to_owned()
}

fn portion() -> usize {
    1000
}

fn connect_timeout() -> TimeSpan {
    TimeSpan::seconds(15)
}

fn timeout() -> TimeSpan {
    TimeSpan::seconds(180)
}

fn import_timeout() -> TimeSpan {
    TimeSpan::seconds(600)
}

fn import_pause() -> TimeSpan {
    TimeSpan::milliseconds(500)
}

fn import_deadline() -> TimeSpan {
    TimeSpan::seconds(3600)
}

fn import_stuck() -> TimeSpan {
    TimeSpan::seconds(600)
}

fn retries() -> u32 {
    2
}

fn catalogue() -> Party {
    PackageSettings::new(chrono::NaiveDateTime::default()).catalogue
}

fn owner() -> Party {
    PackageSettings::new(chrono::NaiveDateTime::default()).owner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_shops() {
        let at = |text| Endpoint::parse(text).unwrap();
        assert_eq!(at("https://shop.example").path, "/bitrix/admin/1c_exchange.php");
        assert_eq!(at("http://shop.example/?wc1c=exchange").query, "wc1c=exchange");
        assert_eq!(at("http://shop.example:80/wc1c/exchange/").identity(), "http://shop.example/wc1c/exchange/");
        for text in ["shop.example", "ftp://shop.example", "http://u:p@shop.example/", "http://shop.example/#x"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
