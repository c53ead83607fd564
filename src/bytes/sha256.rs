//! SHA-256 (FIPS 180-4), of what may come in parts.

use super::hex::hex_pair;
use sha2::{Digest, Sha256};

/// Bytes of a digest.
pub(crate) const SHA256_BYTES: usize = 32;

/// The digest of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; SHA256_BYTES] {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().into()
}

/// The digest that 64 hexadecimal digits say, as `sha256sum` writes them.
pub(crate) fn sha256_of_hex(text: &str) -> Option<[u8; SHA256_BYTES]> {
    let (mut digest, mut rest) = ([0; SHA256_BYTES], text.as_bytes());
    for byte in &mut digest {
        (*byte, rest) = hex_pair(rest)?;
    }
    rest.is_empty().then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_of_the_standard_and_reads_back_from_hex() {
        // FIPS 180-4, the example of one block.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Some(sha256(&[b"a", b"", b"bc"])), sha256_of_hex(abc));
        assert_eq!(Some(sha256(&[b"abc"])), sha256_of_hex(&abc.to_uppercase()));
        for wrong in
            ["", abc.strip_prefix('b').unwrap(), &format!("{abc}0"), &abc.replace('b', "g"), "é"]
        {
            assert_eq!(sha256_of_hex(wrong), None, "{wrong}");
        }
    }
}
