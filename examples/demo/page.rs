//! The page: the files of `www/` and of the npm package.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::Failure;

/// Every file that is served, by its path in URLs. No path on disk is ever made from a request.
type Files = BTreeMap<String, PathBuf>;

pub(crate) fn router(root: &Path) -> Result<Router, Failure> {
    let mut files = Files::new();
    find_files(&root.join("www"), "/", &mut files)?;
    find_files(&root.join("pkg"), "/pkg/", &mut files).map_err(|error| format!("{error}; `make npm` makes the package"))?;
    let page = files.get("/index.html").cloned().ok_or("www: has no index.html")?;
    files.insert("/".to_owned(), page);
    Ok(Router::new().fallback(file).with_state(Arc::new(files)))
}

fn find_files(dir: &Path, prefix: &str, files: &mut Files) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
    for entry in fs::read_dir(dir).map_err(named)? {
        let entry = entry?;
        // What has another name than UTF-8, or leads elsewhere, is not served.
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else { continue };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find_files(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

async fn file(State(files): State<Arc<Files>>, uri: Uri) -> Response {
    let Some(path) = files.get(uri.path()) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    match fs::read(path) {
        Ok(content) => ([(header::CONTENT_TYPE, content_type(path))], content).into_response(),
        Err(error) => {
            eprintln!("demo: {}: {error}", path.display());
            (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n").into_response()
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "text/plain; charset=utf-8",
    }
}
