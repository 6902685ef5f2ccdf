//! Fetching a public data set: resumed where it broke off, and checked against what it must be.
//!
//! The SHA-256 of each file, which is fixed here, decides whether it is taken, whoever sent it: MNIST's of the unpacked
//! contents, as several servers pack them differently; the others' as they are published.

use super::home::data_home;
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Most bytes that a packed file of a [`Source`] unpacks to.
const MOST_UNPACKED: u64 = 256 << 20;

/// How long a download may take, and how large it may be.
#[derive(Clone, Copy)]
struct Limits {
    /// Nothing arrives for so long: the server has stalled.
    stall: Duration,
    /// What is there by then is kept, and the next try goes on from it.
    time: Duration,
    /// Bytes that the file does not have.
    too_large: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stall: Duration::from_secs(30), time: Duration::from_secs(1800), too_large: 64 << 20 }
    }
}

/// What a file must be, as SHA-256.
#[derive(Clone, Copy)]
enum Sum {
    AsSent(&'static str),
    Unpacked(&'static str),
}

/// A data set that can be fetched.
struct Source {
    name: &'static str,
    /// Folder of a web server.
    url: &'static str,
    /// Bytes that no file of it has.
    too_large: u64,
    /// Files below the folder.
    files: &'static [(&'static str, Sum)],
}

const SOURCES: &[Source] = &[
    Source {
        name: "mnist",
        url: "http://storage.googleapis.com/cvdf-datasets/mnist",
        too_large: 64 << 20,
        files: &[
            ("train-images-idx3-ubyte.gz", Sum::Unpacked(super::idx::MNIST_IMAGES)),
            (
                "train-labels-idx1-ubyte.gz",
                Sum::Unpacked("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                Sum::Unpacked("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                Sum::Unpacked("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
            ),
        ],
    },
    Source {
        name: "fashion-mnist",
        url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        too_large: 64 << 20,
        files: &[
            (
                "train-images-idx3-ubyte.gz",
                Sum::AsSent("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            ),
            (
                "train-labels-idx1-ubyte.gz",
                Sum::AsSent("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                Sum::AsSent("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                Sum::AsSent("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
            ),
        ],
    },
    Source {
        name: "cifar10",
        url: "https://www.cs.toronto.edu/~kriz",
        too_large: 192 << 20,
        files: &[(
            "cifar-10-binary.tar.gz",
            Sum::AsSent("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        )],
    },
    Source {
        name: "cifar100",
        url: "https://www.cs.toronto.edu/~kriz",
        too_large: 192 << 20,
        files: &[(
            "cifar-100-binary.tar.gz",
            Sum::AsSent("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
        )],
    },
];

/// Data sets that [`fetch`] knows.
pub fn fetchable() -> Vec<&'static str> {
    SOURCES.iter().map(|source| source.name).collect()
}

/// Where [`fetch`] puts a data set unless it is told otherwise: where `load` looks for it.
///
/// # Errors
/// [`Error::Usage`] when the system names no home.
pub fn default_folder(name: &str) -> Result<PathBuf> {
    data_home().map(|home| home.join(name)).ok_or_else(|| {
        Error::Usage("this system names no home folder to keep data in; choose a folder with `out`".into())
    })
}

/// Fetches the files of the data set `name` from `url` (or where it is published) into `folder`; those that are there
/// and whole are left alone. `progress` is told the file, the bytes so far, and of how many where the server says.
///
/// # Errors
/// [`Error::Usage`] for an unknown name; [`Error::Input`] when a file cannot be had, written, or is not what it must
/// be.
pub fn fetch(
    name: &str,
    url: Option<&str>,
    folder: &Path,
    mut progress: impl FnMut(&str, u64, Option<u64>),
) -> Result<()> {
    let Some(source) = SOURCES.iter().find(|source| source.name == name) else {
        let known = fetchable().join(", ");
        return Err(Error::Usage(format!("'{name}' is no data set that can be fetched; expected {known}")));
    };
    let base = url.unwrap_or(source.url).trim_end_matches('/');
    fs::create_dir_all(folder).map_err(|e| Error::input(folder, format!("cannot be made a folder ({e})")))?;
    for (file, sum) in source.files {
        let place = folder.join(file);
        if place.exists() && check(&place, *sum).is_ok() {
            let bytes = fs::metadata(&place).map_or(0, |meta| meta.len());
            progress(file, bytes, Some(bytes));
            continue;
        }
        let part = folder.join(format!("{file}.part"));
        let limits = Limits { too_large: source.too_large, ..Limits::default() };
        download(&format!("{base}/{file}"), &part, limits, |done, total| progress(file, done, total))?;
        if let Err(error) = check(&part, *sum) {
            // It would never become right by going on.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        fs::rename(&part, &place).map_err(|e| Error::input(&place, format!("cannot be written ({e})")))?;
    }
    Ok(())
}

/// Fetches `url` into `part`, from where that file ends.
fn download(url: &str, part: &Path, limits: Limits, mut progress: impl FnMut(u64, Option<u64>)) -> Result<()> {
    let Limits { stall, time, too_large: most } = limits;
    let deadline = Instant::now() + time;
    let broken = |what: String| {
        Error::input(url, format!("{what}; run the same command again, and it goes on where it stopped"))
    };
    let mut done = fs::metadata(part).map_or(0, |meta| meta.len());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(stall))
        .timeout_recv_body(Some(time))
        .build()
        .into();
    let mut request = agent.get(url);
    if done > 0 {
        request = request.header("Range", format!("bytes={done}-"));
    }
    let response = request.call().map_err(|e| broken(format!("cannot be fetched ({e})")))?;
    let status = response.status().as_u16();
    match status {
        // The whole file, whatever was asked for.
        200 => done = 0,
        206 => {}
        // Nothing is missing.
        416 if done > 0 => return Ok(()),
        _ => return Err(broken(format!("expected the file, the server answered with status {status}"))),
    }
    let length =
        response.headers().get("content-length").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    let total = length.map(|length| done.saturating_add(length));
    let too_large = |bytes: u64| {
        let what = format!("is {bytes} bytes or more; expected at most {most}, so this is not the file");
        Error::input(url, what)
    };
    if let Some(total) = total.filter(|&total| total > most) {
        return Err(too_large(total));
    }
    let unwritable = |e: std::io::Error| Error::input(part, format!("cannot be written ({e})"));
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(done == 0)
        .append(done > 0)
        .open(part)
        .map_err(unwritable)?;
    let arrived = read_on(response.into_body().into_reader());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let part = match arrived.recv_timeout(stall.min(left)) {
            Ok(part) => part.map_err(|e| broken(format!("broke off after {done} bytes ({e})")))?,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if left < stall => {
                return Err(broken(format!("took more than {} s; {done} bytes are there", time.as_secs())));
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(broken(format!("stalled after {done} bytes: nothing came for {} s", stall.as_secs())));
            }
        };
        file.write_all(&part).map_err(unwritable)?;
        done += part.len() as u64;
        if done > most {
            return Err(too_large(done));
        }
        progress(done, total);
    }
    match total {
        Some(total) if done < total => Err(broken(format!("broke off after {done} of {total} bytes"))),
        _ => Ok(()),
    }
}

/// Reads on a thread of its own, so that a server that says nothing can be waited for no longer than is decided here.
fn read_on(mut body: impl Read + Send + 'static) -> Receiver<std::io::Result<Vec<u8>>> {
    let (to, arrived) = std::sync::mpsc::sync_channel(4);
    std::thread::spawn(move || {
        loop {
            let mut buffer = vec![0; 1 << 16];
            let read = body.read(&mut buffer).map(|read| {
                buffer.truncate(read);
                buffer
            });
            let over = !matches!(&read, Ok(part) if !part.is_empty());
            if matches!(&read, Ok(part) if part.is_empty()) || to.send(read).is_err() || over {
                return;
            }
        }
    });
    arrived
}

/// Compares the file with what it must be.
fn check(path: &Path, sum: Sum) -> Result<()> {
    let unreadable = |e: std::io::Error| Error::input(path, format!("cannot be read ({e}); fetch it again"));
    let file = File::open(path).map_err(unreadable)?;
    let (mut bytes, what, sum): (Box<dyn Read>, _, _) = match sum {
        Sum::AsSent(sum) => (Box::new(file), "a file", sum),
        Sum::Unpacked(sum) => {
            let unpacked = flate2::read::MultiGzDecoder::new(file).take(MOST_UNPACKED);
            (Box::new(unpacked), "contents", sum)
        }
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match bytes.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let found = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if found == sum {
        return Ok(());
    }
    Err(Error::input(path, format!("is not the published file: expected {what} with SHA-256 {sum}, found {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    /// Answers one request after another with `body` from the byte that is asked for, `most` bytes at a time.
    fn serve(body: Vec<u8>, most: usize) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.gz", listener.local_addr().unwrap());
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines: Vec<String> = BufReader::new(&stream)
                    .lines()
                    .map_while(std::result::Result::ok)
                    .take_while(|l| !l.is_empty())
                    .collect();
                let range = lines.iter().find(|l| l.to_lowercase().starts_with("range:")).cloned().unwrap_or_default();
                let from: usize = range.split('=').nth(1).map_or(0, |v| v.trim_end_matches('-').parse().unwrap());
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let rest = &body[from..];
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len());
                stream.write_all(head.as_bytes()).unwrap();
                // Less than was promised: the connection breaks.
                let _ = stream.write_all(&rest[..rest.len().min(most)]);
                if sender.send(range).is_err() {
                    return;
                }
            }
        });
        (url, receiver)
    }

    #[test]
    fn a_broken_download_goes_on_where_it_stopped() {
        let noise: Vec<u8> = (0..100_000u32).map(|i| crate::rng::pcg(i) as u8).collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&noise).unwrap();
        let packed = packed.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("file.gz.part");
        let (url, asked) = serve(packed.clone(), 60_000);
        let limits = Limits::default();
        let first = download(&url, &part, limits, |_, total| assert_eq!(total, Some(packed.len() as u64)));
        assert!(first.unwrap_err().to_string().contains("goes on where it stopped"));
        assert_eq!(fs::metadata(&part).unwrap().len(), 60_000);
        download(&url, &part, limits, |_, _| {}).unwrap();
        assert_eq!(asked.recv().unwrap(), "");
        assert!(asked.recv().unwrap().ends_with("bytes=60000-"));
        assert_eq!(fs::read(&part).unwrap(), packed);

        for (bytes, sum) in [(&noise, Sum::Unpacked as fn(_) -> _), (&packed, Sum::AsSent)] {
            let found = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            check(&part, sum(found.clone().leak())).unwrap();
            let text = check(&part, sum("0123")).unwrap_err().to_string();
            assert!(text.contains("not the published file") && text.contains(&found), "{text}");
        }
    }

    /// Answers with `head`, then `body` again and again while it is not empty, then says nothing more.
    fn odd_server(head: &'static str, body: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.gz", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(head.as_bytes());
                while !body.is_empty() && stream.write_all(body).is_ok() {}
                held.push(stream);
            }
        });
        url
    }

    #[test]
    fn servers_that_stall_or_never_end_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("file.gz.part");
        let short = Limits { stall: Duration::from_millis(300), time: Duration::from_secs(60), ..Limits::default() };
        let refused = |url: &str, limits| download(url, &part, limits, |_, _| {}).unwrap_err().to_string();
        let silent = odd_server("", b"");
        assert!(refused(&silent, short).contains("cannot be fetched"), "no answer");
        let stalled = odd_server("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", b"");
        let text = refused(&stalled, short);
        assert!(text.contains("stalled after 3 bytes") || text.contains("broke off after 3 bytes"), "{text}");
        fs::remove_file(&part).unwrap();
        let large = odd_server("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"");
        assert!(refused(&large, short).contains("not the file"));
        let endless = odd_server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &[7; 65536]);
        assert!(refused(&endless, Limits::default()).contains("not the file"));
        assert!(fs::metadata(&part).unwrap().len() < Limits::default().too_large + (1 << 20));
    }

    #[test]
    fn what_cannot_be_fetched_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = fetch("cifar11", None, folder.path(), |_, _, _| {}).unwrap_err().to_string();
        assert!(text.contains("'cifar11'") && text.contains("mnist, fashion-mnist, cifar10, cifar100"), "{text}");
        let (url, _asked) = serve(b"no gzip at all".to_vec(), 100);
        let text = fetch("mnist", Some(&url), folder.path(), |_, _, _| {}).unwrap_err().to_string();
        assert!(text.contains("cannot be read"), "{text}");
        let text = fetch("cifar10", Some(&url), folder.path(), |_, _, _| {}).unwrap_err().to_string();
        assert!(text.contains("not the published file"), "{text}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
    }
}
