//! TCP connections that can be cut at any moment, which no HTTP library offers to a handler.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A listener whose connections carry a [`Peer`].
#[derive(Debug)]
pub(crate) struct Wire {
    listener: TcpListener,
    closed: Arc<AtomicBool>,
}

/// The client at the other end of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    cut: Arc<AtomicBool>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

impl Wire {
    /// Wraps a bound listener. Setting `closed` cuts every connection, present and future.
    pub(crate) fn new(listener: TcpListener, closed: Arc<AtomicBool>) -> Self {
        Self { listener, closed }
    }
}

impl Peer {
    /// Drops the connection: nothing that was not sent yet will be.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

impl Line {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::SeqCst) || self.closed.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut on purpose"));
        }
        Ok(())
    }
}

impl Listener for Wire {
    type Io = Line;
    type Addr = Peer;

    async fn accept(&mut self) -> (Line, Peer) {
        let (stream, _) = Listener::accept(&mut self.listener).await;
        let cut = Arc::new(AtomicBool::new(false));
        let peer = Peer { cut: Arc::clone(&cut) };
        (Line { stream, cut, closed: Arc::clone(&self.closed) }, peer)
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { cut: Arc::clone(&self.closed) })
    }
}

impl Connected<IncomingStream<'_, Wire>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Wire>) -> Self {
        stream.remote_addr().clone()
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Binds an address; port 0 takes a free one.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
