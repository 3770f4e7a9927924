//! A line to the server that can be cut, muted and slowed at chosen moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The first `COMMIT` does not arrive, and the line breaks; later ones work.
    BeforeCommit,
    /// The first `COMMIT` arrives, its answer does not, and the line breaks; later ones work.
    AfterCommit,
    /// From the first `COMMIT` on, no answer arrives on any line.
    SilenceAfterCommit,
    /// After so many bytes no more of an answer arrives.
    SilenceAfter(usize),
}

/// A line to the server.
pub(crate) struct Proxy {
    /// The address to connect to, instead of the server's.
    pub(crate) url: String,
}

impl Proxy {
    /// A line to the server of an address, with a trouble.
    pub(crate) async fn start(url: &str, trouble: Trouble) -> Self {
        let config: tokio_postgres::Config = url.parse().unwrap();
        let tokio_postgres::config::Host::Tcp(host) = &config.get_hosts()[0] else {
            panic!("a server with an address")
        };
        let server = format!("{host}:{}", config.get_ports()[0]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        let url = format!("postgres://{user}@{}/{database}", listener.local_addr().unwrap());
        let committed = Arc::new(AtomicBool::new(false));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(line(client, server, trouble, Arc::clone(&committed)));
            }
        });
        Self { url }
    }
}

async fn line(client: TcpStream, server: TcpStream, trouble: Trouble, committed: Arc<AtomicBool>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (flag, here) = (Arc::clone(&committed), Arc::new(AtomicBool::new(false)));
    let cut = Arc::clone(&here);
    tokio::select! {
        () = up(from_client, to_server, trouble, flag, here) => {}
        () = down(from_server, to_client, trouble, committed, cut) => {}
    }
}

/// What the client says.
async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    trouble: Trouble,
    committed: Arc<AtomicBool>,
    here: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let said = &bytes[..count];
        let commits =
            said.windows(6).any(|word| word == b"COMMIT") && !said.windows(9).any(|word| word == b"ON COMMIT");
        if commits && !committed.swap(true, Ordering::SeqCst) {
            here.store(true, Ordering::SeqCst);
            if trouble == Trouble::BeforeCommit {
                return;
            }
        }
        if to.write_all(said).await.is_err() {
            return;
        }
    }
}

/// What the server answers.
async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    trouble: Trouble,
    committed: Arc<AtomicBool>,
    here: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 64 << 10];
    let mut sum = 0;
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        sum += count;
        match trouble {
            Trouble::AfterCommit if here.load(Ordering::SeqCst) => return,
            Trouble::SilenceAfterCommit if committed.load(Ordering::SeqCst) => std::future::pending().await,
            Trouble::SilenceAfter(most) if sum > most => std::future::pending().await,
            _ => {}
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
