//! From a request to a file of the folder, or to the reason why not.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

/// The answer to `request`, which came to `address`, from `folder` (a canonical path).
pub async fn answer<B>(request: &Request<B>, folder: &Path, address: SocketAddr) -> Response<Full<Bytes>> {
    if !is_for_us(request, address) {
        return refusal(StatusCode::MISDIRECTED_REQUEST, "this server answers to 127.0.0.1 and localhost alone");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "files are only read here");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some(file) = file_of(request.uri().path(), folder) else {
        return refusal(StatusCode::NOT_FOUND, "not found");
    };
    match tokio::fs::read(&file).await {
        Ok(body) => response(StatusCode::OK, content_type(&file), body.into()),
        Err(_) => refusal(StatusCode::NOT_FOUND, "not found"),
    }
}

/// Whether the browser asked for this machine. Another site's name that was made to point here would let that site read
/// the page.
fn is_for_us<B>(request: &Request<B>, address: SocketAddr) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let port = address.port();
    [format!("127.0.0.1:{port}"), format!("localhost:{port}")].iter().any(|ours| host.as_bytes() == ours.as_bytes())
}

/// The regular file below `folder` that `path` names. Names of the page's files need no percent encoding, so none is
/// undone.
fn file_of(path: &str, folder: &Path) -> Option<PathBuf> {
    let relative = path.strip_prefix('/')?;
    let name =
        if relative.is_empty() || relative.ends_with('/') { format!("{relative}index.html") } else { relative.into() };
    // A colon or backslash means a drive or a folder on Windows; a second slash would make the path absolute.
    let plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || name.contains(['\\', ':', '\0']) {
        return None;
    }
    // The canonical path has no links left, so a link that points elsewhere ends here.
    let file = folder.join(name).canonicalize().ok()?;
    (file.starts_with(folder) && file.is_file()).then_some(file)
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|kind| kind.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn refusal(status: StatusCode, why: &'static str) -> Response<Full<Bytes>> {
    response(status, "text/plain", why.into())
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let fields =
        [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CONNECTION, "close")];
    response.headers_mut().extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::file_of;
    use std::path::Path;

    #[test]
    fn only_regular_files_below_the_folder_are_found() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().canonicalize().unwrap().join("page");
        std::fs::create_dir_all(folder.join("vendor")).unwrap();
        std::fs::write(folder.join("index.html"), "page").unwrap();
        std::fs::write(folder.join("vendor/uPlot.js"), "plot").unwrap();
        std::fs::write(place.path().join("secret"), "secret").unwrap();
        std::fs::write(place.path().join("page-secret"), "secret").unwrap();
        let found = |path: &str| file_of(path, &folder);
        assert_eq!(found("/"), Some(folder.join("index.html")));
        assert_eq!(found("/vendor/uPlot.js"), Some(folder.join("vendor/uPlot.js")));
        let outside = place.path().join("secret");
        for path in [
            "",
            "*",
            "/vendor",
            "/vendor/",
            "/missing",
            "//etc/passwd",
            "/../secret",
            "/../page-secret",
            "/vendor/../../secret",
            "/./../secret",
            "/%2e%2e/secret",
            "/..\\secret",
            "/C:/secret",
            "/index.html/",
            &format!("/{}", outside.display()),
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_that_leave_the_folder_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().canonicalize().unwrap().join("page");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("index.html"), "page").unwrap();
        std::os::unix::fs::symlink("index.html", folder.join("inside")).unwrap();
        for (name, goal) in [("file", "/etc/passwd"), ("up", "/"), ("endless", "/dev/zero")] {
            std::os::unix::fs::symlink(Path::new(goal), folder.join(name)).unwrap();
        }
        assert_eq!(file_of("/inside", &folder), Some(folder.join("index.html")));
        for path in ["/file", "/up/etc/passwd", "/endless"] {
            assert_eq!(file_of(path, &folder), None, "{path}");
        }
    }
}
