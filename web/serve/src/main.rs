//! `mexhat-serve FOLDER`: the files of a folder, for browsers on this machine. Started by `cargo xtask web`.
//!
//! It listens on 127.0.0.1 alone, at port 8080 or where that is taken at any free one. A page that another site has
//! opened cannot read through it (the `Host` is checked), and no request leaves the folder, also not by a link.

mod connection;
mod files;

use std::path::Path;
use std::process::ExitCode;
use tokio::net::TcpListener;

fn run(folder: &Path) -> Result<(), String> {
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let listener = match TcpListener::bind(("127.0.0.1", 8080)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind(("127.0.0.1", 0))
                .await
                .map_err(|error| format!("cannot open a port on this machine: {error}"))?,
        };
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        println!("\nhttp://{address}/  (Ctrl-C ends it)");
        connection::serve(listener, folder, connection::Limits::default()).await;
        Ok(())
    })
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("mexhat-serve: expected the folder to serve");
        return ExitCode::from(2);
    };
    match run(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mexhat-serve: {error}");
            ExitCode::FAILURE
        }
    }
}
