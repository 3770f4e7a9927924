//! What a person says about the object store files are in.

use crate::address::{Login, Place, Scheme, StoreOptions};
use obmen_diagnostics::{Problems, code};
use obmen_sdk::http::Address;
use obmen_sdk::{Error, Result, Secret, Secrets, TimeSpan};
use obmen_spec::Node;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// How long a connection to a store may take, where nothing else is said.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a store may be silent, where nothing else is said.
const TIMEOUT: Duration = Duration::from_mins(5);
/// How often a request is tried again, where nothing else is said.
const RETRIES: u32 = 4;

/// How a store is reached. Every setting is optional; none has a meaning for a folder of this machine.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Stores: the server, where it is not the maker's own: `https://minio.example:9000`. Not for `http(s)://` paths.
    pub endpoint: Option<String>,
    /// Stores: whether `endpoint` may be `http://`, where everything travels in the open; no by default.
    pub allow_http: Option<bool>,
    /// `s3://`: the region of the bucket; `us-east-1` by default.
    pub region: Option<String>,
    /// Stores: who we are: the access key (`s3://`), the storage account (`az://`), the user (`http(s)://`). Without a
    /// login requests are not signed: public buckets can be read so. A login of the environment is never used.
    pub user: Option<String>,
    /// Stores: the secret key (`s3://`), the account key (`az://`), the service account as JSON (`gs://`) or the
    /// password (`http(s)://`), as `${env:NAME}` or `${secret:name}`.
    pub password: Option<String>,
    /// Stores: what temporary access goes with: the session token (`s3://`), the shared access signature (`az://`), a
    /// bearer token (`gs://`, `http(s)://`), as `${env:NAME}` or `${secret:name}`.
    pub token: Option<String>,
    /// Stores: how long the store may be silent before and within an answer; `5m` by default. A request that sends
    /// must be through in this time: up to 5 MB.
    pub timeout: Option<TimeSpan>,
    /// Stores: how long a connection may take to stand; `1m` by default.
    pub connect_timeout: Option<TimeSpan>,
    /// Stores: how often a failed request is tried again, with growing pauses; 4 by default.
    pub retries: Option<u32>,
}

impl fmt::Debug for StoreSettings {
    /// Nothing of the login, as it may have been written out where it should not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings").field("region", &self.region).finish_non_exhaustive()
    }
}

impl StoreSettings {
    /// The names of all settings.
    pub const KEYS: &'static [&'static str] =
        &["endpoint", "allow_http", "region", "user", "password", "token", "timeout", "connect_timeout", "retries"];

    /// Reports what is wrong with the store at `path`. Whether nothing is.
    pub fn check(&self, path: &str, node: &Node, problems: &mut Problems) -> bool {
        let before = problems.iter().count();
        let at = |key: &str| node.as_map().and_then(|map| map.get(key)).map_or(node.span, |value| value.span);
        let mut refuse = |key: &str, message: String| {
            problems.error(code::INVALID_SETTING, at(key), message);
        };
        // What a variable brings is looked at when the connection opens.
        let scheme = if path.contains("${") { None } else { Some(Scheme::of(path)) };
        match &scheme {
            Some(Err(phrase)) => refuse("path", phrase.clone()),
            Some(Ok(Some(_))) => {
                if let Err(phrase) = Place::parse(path) {
                    refuse("path", phrase);
                }
            }
            Some(Ok(None)) => {
                for key in Self::KEYS.iter().filter(|key| node.as_map().is_some_and(|map| map.get(key).is_some())) {
                    refuse(key, format!("`{key}` has no meaning for a folder of this machine"));
                }
            }
            None => {}
        }
        for (key, text) in [("password", &self.password), ("token", &self.token)] {
            if text.as_deref().is_some_and(|text| !text.contains("${")) {
                refuse(key, format!("`{key}` is written out; write `${{env:NAME}}` or `${{secret:name}}`"));
            }
        }
        for (key, time) in [("timeout", self.timeout), ("connect_timeout", self.connect_timeout)] {
            if time.is_some_and(|time| time.duration().is_zero()) {
                refuse(key, format!("`{key}` is nothing, expected more"));
            }
        }
        if let Some(endpoint) = self.endpoint.as_deref().filter(|endpoint| !endpoint.contains("${"))
            && let Err(phrase) = self.endpoint_of(endpoint)
        {
            refuse("endpoint", format!("`endpoint` is wrong: {phrase}"));
        }
        if let Some(Ok(Some(scheme))) = scheme {
            self.check_scheme(scheme, &mut refuse);
        }
        problems.iter().count() == before
    }

    /// Reports what a kind of store needs or does not have.
    fn check_scheme(&self, scheme: Scheme, refuse: &mut impl FnMut(&str, String)) {
        for (key, said) in [("endpoint", self.endpoint.is_some()), ("region", self.region.is_some())] {
            if said && scheme == Scheme::Http {
                refuse(key, format!("`{key}` has no meaning for a web server: its address is the `path`"));
            }
        }
        if scheme == Scheme::Azure && self.user.is_none() {
            refuse("user", "`az://` needs the storage account as `user`".to_owned());
        }
        if scheme == Scheme::S3 && self.user.is_some() != self.password.is_some() {
            refuse("user", "`s3://` needs `user` and `password` together, or neither".to_owned());
        }
        if scheme == Scheme::Google && self.user.is_some() {
            refuse("user", "`gs://` has no `user`: the service account is the `password`".to_owned());
        }
    }

    /// The settings with their secrets.
    ///
    /// # Errors
    /// `NotFound` for a secret that is not set, `InvalidData` for a server that cannot be.
    pub fn resolve(&self, secrets: &dyn Secrets) -> Result<StoreOptions> {
        let secret = |text: &Option<String>| text.as_deref().map(|text| secrets.resolve(text)).transpose();
        let endpoint = secret(&self.endpoint)?.map(|endpoint| self.endpoint_of(endpoint.expose())).transpose();
        let endpoint = endpoint.map_err(|phrase| {
            Error::invalid_data(format!("`endpoint` is wrong: {phrase}")).with("setting", "endpoint")
        })?;
        let region = secret(&self.region)?.map(|region: Secret| region.expose().to_owned());
        let login = Login { user: secret(&self.user)?, password: secret(&self.password)?, token: secret(&self.token)? };
        Ok(StoreOptions {
            endpoint,
            region,
            login,
            connect_timeout: self.connect_timeout.map_or(CONNECT_TIMEOUT, TimeSpan::duration),
            timeout: self.timeout.map_or(TIMEOUT, TimeSpan::duration),
            retries: self.retries.unwrap_or(RETRIES),
        })
    }

    fn endpoint_of(&self, text: &str) -> Result<Address, &'static str> {
        let address = Address::parse(text)?;
        if address.to_string().starts_with("http://") && !self.allow_http.unwrap_or(false) {
            return Err("everything travels in the open by `http://`; write `https://`, or `allow_http: true`");
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_names_is_complete() {
        let schema = schemars::schema_for!(StoreSettings);
        let names: Vec<&str> =
            schema.get("properties").unwrap().as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, StoreSettings::KEYS);
    }
}
