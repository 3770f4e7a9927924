//! `moto_server`, somebody else's server that speaks S3, if it is installed.

#![expect(clippy::unwrap_used, reason = "what is only for tests may fail like one")]

use obmen_sdk::{Stop, http};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server with the bucket `bucket`; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `http://`, host and port.
    pub address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Server {
    /// Starts one on a free port. `None` where it is not installed; with `OBMEN_TEST_SERVICES=required` that is
    /// a failure.
    pub async fn start() -> Option<Self> {
        let server = Self::try_start().await;
        let required = std::env::vars().any(|(name, value)| name == "OBMEN_TEST_SERVICES" && value == "required");
        assert!(server.is_some() || !required, "moto_server does not answer; `pip install 'moto[server]'`");
        server
    }

    async fn try_start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { child: command.spawn().ok()?, address: format!("http://127.0.0.1:{port}") };
        let options = http::Options { retries: 60, longest_pause: Duration::from_secs(1), ..http::Options::default() };
        let address = http::Address::parse(&server.address).unwrap();
        let client = http::Client::new(address, options, Stop::default()).unwrap();
        let make = http::Request { method: http::Method::PUT, ..http::Request::post("bucket", "") };
        client.retrying(|| async { client.send(&make).await?.successful() }).await.ok()?;
        Some(server)
    }
}
