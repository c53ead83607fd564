//! A body → the bytes of one HTTP/1.1 request that pushes it.

use crate::body::{Body, Notation, PATH};

/// The push of about 200 bytes.
pub fn small() -> Body {
    match Body::named("small", Notation::Text) {
        Some(body) => body,
        None => unreachable!("there is a small body"),
    }
}

/// A push to the path of all measured pushes.
pub fn push(body: &Body) -> Vec<u8> {
    to(PATH, body)
}

/// A push to that path.
pub fn to(path: &str, body: &Body) -> Vec<u8> {
    let length = body.bytes.len();
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n");
    if let Some(content_type) = body.content_type {
        request += &format!("Content-Type: {content_type}\r\n");
    }
    request += "\r\n";
    [request.as_bytes(), &body.bytes].concat()
}

/// The same push as the gate hands it to tiny_http: with the key of a private request and the
/// number of a connection.
pub fn private(body: &Body) -> Vec<u8> {
    let length = body.bytes.len();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nK: 0123456789abcdef 4194305\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &body.bytes].concat()
}
