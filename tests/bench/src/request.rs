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

/// What tiny_http gets of that push: a head with the key of the bridge and a number.
pub fn private() -> Vec<u8> {
    format!("GET /{:032x}/1048579 HTTP/1.1\r\n\r\n", 0x0123_4567_89ab_cdef_u128).into_bytes()
}
