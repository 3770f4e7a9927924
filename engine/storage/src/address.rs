//! Addresses of object stores, and the client that belongs to each.

use crate::manners::Manners;
use crate::refusal::unusable;
use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig, StaticCredentialProvider};
use obmen_sdk::http::Address;
use obmen_sdk::{Result, Secret, Stop};
use std::sync::Arc;
use std::time::Duration;

/// The first pause before a request is tried again; each further one is up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long one request is tried again at most, however often it may be.
const LONGEST_TRYING: Duration = Duration::from_mins(30);

/// Kinds of object stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Amazon S3, or anything that speaks its protocol.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Google,
    /// A web server: read only.
    Http,
}

/// Where in which store files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind of store.
    pub scheme: Scheme,
    /// The bucket or container; for a web server the whole address.
    pub(crate) bucket: String,
    /// What all keys begin with, without slashes at its ends.
    pub(crate) prefix: String,
}

/// Who we are in a store. Nothing at all: nobody in particular (public buckets).
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The access key (S3), storage account (Azure) or user (web server).
    pub user: Option<Secret>,
    /// The secret key (S3), account key (Azure), service account as JSON (Google) or password (web server).
    pub password: Option<Secret>,
    /// What temporary access goes with: session token (S3), shared access signature (Azure), bearer token (others).
    pub token: Option<Secret>,
}

/// How a store is reached.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The server, where it is not the maker's own.
    pub endpoint: Option<Address>,
    /// The region of the bucket, where the store has regions.
    pub region: Option<String>,
    /// Who we are.
    pub login: Login,
    /// How long a connection may take to stand.
    pub connect_timeout: Duration,
    /// How long the store may be silent.
    pub timeout: Duration,
    /// How often a request is tried again.
    pub retries: u32,
}

impl Scheme {
    /// The scheme of a path, `None` for one of this machine.
    ///
    /// # Errors
    /// A phrase that names the scheme that is not known.
    pub fn of(path: &str) -> Result<Option<Self>, String> {
        let Some((scheme, _)) = path.trim().split_once("://") else { return Ok(None) };
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => Ok(Some(Self::S3)),
            "az" => Ok(Some(Self::Azure)),
            "gs" => Ok(Some(Self::Google)),
            "http" | "https" => Ok(Some(Self::Http)),
            other => {
                Err(format!("`{other}://` is no store; there are `s3://`, `az://`, `gs://`, `http://`, `https://`"))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "az",
            Self::Google => "gs",
            Self::Http => "http",
        }
    }
}

impl Place {
    /// Reads an address; `None` for a path of this machine.
    ///
    /// # Errors
    /// What is wrong, as a phrase that repeats no login.
    pub fn parse(path: &str) -> Result<Option<Self>, String> {
        let Some(scheme) = Scheme::of(path)? else { return Ok(None) };
        if scheme == Scheme::Http {
            let address = Address::parse(path)?;
            return Ok(Some(Self { scheme, bucket: address.to_string(), prefix: String::new() }));
        }
        let rest = path.trim().split_once("://").map_or("", |(_, rest)| rest);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let usual = |mark: char| mark.is_ascii_alphanumeric() || matches!(mark, '-' | '_' | '.' | '$');
        if bucket.is_empty() || !bucket.chars().all(usual) {
            let name = scheme.name();
            return Err(format!(
                "the address has no bucket that can be, expected something like `{name}://bucket/folder`"
            ));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
            return Err("the address has `.`, `..` or nothing between two slashes".to_owned());
        }
        Ok(Some(Self { scheme, bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }

    /// The address of the bucket without a login: scheme, server, bucket.
    pub fn shown(&self, options: &StoreOptions) -> String {
        if self.scheme == Scheme::Http {
            return self.bucket.clone();
        }
        let account = options.login.user.as_ref().map_or("", Secret::expose);
        let server = match (&options.endpoint, self.scheme) {
            (Some(endpoint), _) => {
                endpoint.to_string().split_once("://").map_or(String::new(), |(_, host)| host.to_owned())
            }
            (None, Scheme::Azure) => format!("{account}.blob.core.windows.net"),
            (None, Scheme::Google) => "storage.googleapis.com".to_owned(),
            (None, _) => "s3.amazonaws.com".to_owned(),
        };
        format!("{}://{server}/{}", self.scheme.name(), self.bucket)
    }

    /// The client of the bucket. Connects to nothing yet.
    ///
    /// # Errors
    /// `InvalidData` for a login or server that cannot be.
    pub(crate) fn client(&self, options: &StoreOptions, stop: &Stop) -> Result<Arc<dyn ObjectStore>> {
        let store: Result<Arc<dyn ObjectStore>, object_store::Error> = match self.scheme {
            Scheme::S3 => self.s3(options, stop)?.build().map(|store| Arc::new(store) as _),
            Scheme::Azure => self.azure(options, stop)?.build().map(|store| Arc::new(store) as _),
            Scheme::Google => self.google(options, stop)?.build().map(|store| Arc::new(store) as _),
            Scheme::Http => {
                let manners = Manners::new(options, stop, true)?;
                let builder = HttpBuilder::new().with_url(&self.bucket).with_retry(retry(options));
                builder.with_http_connector(manners).build().map(|store| Arc::new(store) as _)
            }
        };
        // What the client says of a login may repeat it, so its words are kept out of ours.
        store.map_err(|_| unusable().with("file", self.shown(options)))
    }

    fn s3(&self, options: &StoreOptions, stop: &Stop) -> Result<AmazonS3Builder> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(options.region.as_deref().unwrap_or("us-east-1"))
            .with_retry(retry(options))
            .with_http_connector(Manners::new(options, stop, false)?);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.to_string()).with_allow_http(true);
        }
        let Login { user, password, token } = &options.login;
        if let (Some(user), Some(password)) = (user, password) {
            builder = builder.with_access_key_id(user.expose()).with_secret_access_key(password.expose());
        } else {
            builder = builder.with_skip_signature(true);
        }
        Ok(token.iter().fold(builder, |builder, token| builder.with_token(token.expose())))
    }

    fn azure(&self, options: &StoreOptions, stop: &Stop) -> Result<MicrosoftAzureBuilder> {
        let Login { user, password, token } = &options.login;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_container_name(&self.bucket)
            .with_account(user.as_ref().map_or("", Secret::expose))
            .with_retry(retry(options))
            .with_http_connector(Manners::new(options, stop, false)?);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.to_string()).with_allow_http(true);
        }
        Ok(match (password, token) {
            (Some(password), _) => builder.with_access_key(password.expose()),
            (None, Some(token)) => builder.with_config(AzureConfigKey::SasKey, token.expose()),
            (None, None) => builder.with_skip_signature(true),
        })
    }

    fn google(&self, options: &StoreOptions, stop: &Stop) -> Result<GoogleCloudStorageBuilder> {
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&self.bucket)
            .with_retry(retry(options))
            .with_http_connector(Manners::new(options, stop, false)?);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint.to_string());
        }
        Ok(match (&options.login.password, &options.login.token) {
            (Some(password), _) => builder.with_service_account_key(password.expose()),
            (None, Some(token)) => {
                let credential = GcpCredential { bearer: token.expose().to_owned() };
                builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)))
            }
            (None, None) => builder.with_config(GoogleConfigKey::SkipSignature, "true"),
        })
    }
}

fn retry(options: &StoreOptions) -> RetryConfig {
    let max_retries = usize::try_from(options.retries).unwrap_or(usize::MAX);
    let backoff = BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2.0 };
    RetryConfig { backoff, max_retries, retry_timeout: LONGEST_TRYING }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for path in ["../fixtures", "C:\\data", "/data", "exchange/import*.xml"] {
            assert_eq!(Place::parse(path).unwrap(), None, "{path}");
        }
        let place = Place::parse("s3://bucket/a/b/").unwrap().unwrap();
        assert_eq!((place.scheme, place.bucket.as_str(), place.prefix.as_str()), (Scheme::S3, "bucket", "a/b"));
        assert_eq!(Place::parse("AZ://c").unwrap().unwrap().scheme, Scheme::Azure);
        assert_eq!(Place::parse("https://Host:443/x/").unwrap().unwrap().bucket, "https://host/x");
    }

    #[test]
    fn addresses_that_cannot_be_are_refused_without_repeating_a_login() {
        for path in ["ftp://host", "s3://", "s3:///x", "s3://key:hunter2@bucket/x", "gs://b/../c", "gs://b/a//c"] {
            let phrase = Place::parse(path).unwrap_err();
            assert!(!phrase.contains("hunter2"), "{phrase}");
        }
        assert!(!Place::parse("https://me:hunter2@host/x").unwrap_err().contains("hunter2"));
    }
}
