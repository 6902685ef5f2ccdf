//! Connections: one request each, so many at a time, in so much time and so many bytes.

use crate::files;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What a client may take.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes of the request line and header together; hyper needs at least 8192.
    pub head: usize,
    /// Time to send them.
    pub head_time: Duration,
    /// Time for the whole exchange.
    pub time: Duration,
    /// Connections at a time; more wait.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 16384, head_time: Duration::from_secs(10), time: Duration::from_secs(60), connections: 64 }
    }
}

/// Answers connections until the program ends.
pub async fn serve(listener: TcpListener, folder: PathBuf, limits: Limits) {
    let folder = Arc::new(folder);
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let place = places.clone().acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let folder = folder.clone();
                tokio::spawn(async move {
                    // A client that is too slow is dropped, and one that goes away in the middle is no matter.
                    drop(tokio::time::timeout(limits.time, exchange(stream, folder, limits)).await);
                    drop(place);
                });
            }
            // Out of file handles, for example: some are given back soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn exchange(stream: TcpStream, folder: Arc<PathBuf>, limits: Limits) -> hyper::Result<()> {
    let Ok(address) = stream.local_addr() else { return Ok(()) };
    let answer = service_fn(move |request| {
        let folder = folder.clone();
        async move { Ok::<_, Infallible>(files::answer(&request, &folder, address).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

#[cfg(test)]
mod tests {
    use super::{Limits, serve};
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A server of one file, `index.html`.
    async fn server(limits: Limits) -> (SocketAddr, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "the page").unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, folder.path().canonicalize().unwrap(), limits));
        (address, folder)
    }

    /// What comes back for `request`, to the end of the connection, however it ends.
    async fn exchanged(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may have closed the connection before all is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn status(answer: &str) -> &str {
        answer.split(' ').nth(1).unwrap_or("none")
    }

    #[tokio::test]
    async fn the_page_is_served_to_this_machine() {
        let (address, _folder) = server(Limits::default()).await;
        let port = address.port();
        for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
            let answer = exchanged(address, &format!("GET /?x=1 HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(status(&answer), "200", "{answer}");
            assert!(answer.contains("text/html") && answer.ends_with("the page"), "{answer}");
        }
        let head = exchanged(address, &format!("HEAD / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")).await;
        assert!(status(&head) == "200" && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[tokio::test]
    async fn other_hosts_and_methods_are_refused() {
        let (address, _folder) = server(Limits::default()).await;
        let port = address.port();
        for host in ["", "Host: evil.example\r\n", "Host: localhost\r\n", "Host: localhost:1\r\nHost: localhost:1\r\n"]
        {
            let answer = exchanged(address, &format!("GET / HTTP/1.1\r\n{host}\r\n")).await;
            assert_eq!(status(&answer), "421", "{host}: {answer}");
        }
        // A name in the request line does not stand in for the header.
        let request = format!("GET http://localhost:{port}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        assert_eq!(status(&exchanged(address, &request).await), "421");
        let posted = format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(status(&exchanged(address, &posted).await), "405");
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_served() {
        let (address, _folder) = server(Limits::default()).await;
        for path in ["//etc/passwd", "/../../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/index.html/../../x"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", address.port());
            let answer = exchanged(address, &request).await;
            assert_eq!(status(&answer), "404", "{path}: {answer}");
            assert!(!answer.contains("root:"), "{path}");
        }
    }

    #[tokio::test]
    async fn an_endless_request_is_cut_off() {
        let (address, _folder) = server(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /").await.unwrap();
        let chunk = vec![b'a'; 1 << 16];
        let mut sent = 0_usize;
        while sent < 64 << 20 && stream.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        // What the system's buffers hold may be sent before the end is seen, and no more.
        assert!(sent < 16 << 20, "{sent} bytes of one request line were taken");
        let long = format!("GET /{} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", "a".repeat(40_000), address.port());
        let answer = exchanged(address, &long).await;
        assert!(["414", "431", "none"].contains(&status(&answer)), "{answer}");
    }

    #[tokio::test]
    async fn slow_clients_are_dropped_and_others_served() {
        let brief = Duration::from_millis(300);
        let (address, _folder) =
            server(Limits { head_time: brief, time: Duration::from_secs(5), connections: 2, ..Limits::default() })
                .await;
        let begun = Instant::now();
        // They take all places and say nothing, or never end.
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", address.port());
        assert_eq!(status(&exchanged(address, &request).await), "200");
        let mut rest = Vec::new();
        let _ = silent.read_to_end(&mut rest).await;
        let _ = slow.read_to_end(&mut rest).await;
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }
}
