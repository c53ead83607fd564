//! A certificate as DER → when it ends, and the common name of its subject (RFC 5280, section 4.1).
//!
//! Whether a certificate is to be trusted is rustls' to say; what is read here is for the eye, and
//! for warnings. So the reader is small, and bounded by construction: each element is a slice of
//! the one that holds it, nothing is allocated but the name, and nothing is read twice.
//!
//! ```text
//! Certificate    ::= SEQUENCE { tbsCertificate, … }
//! TBSCertificate ::= SEQUENCE { [0] version OPTIONAL, serialNumber INTEGER, signature SEQUENCE,
//!                               issuer SEQUENCE, validity SEQUENCE { notBefore, notAfter },
//!                               subject SEQUENCE OF SET OF SEQUENCE { type OID, value }, … }
//! ```

/// Characters of a common name that are kept (ub-common-name).
const NAME_CHARS_MAX: usize = 64;

/// A tag, and the content that it is of.
type Element<'d> = (u8, &'d [u8]);

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const BMP_STRING: u8 = 0x1e;
/// `[0] EXPLICIT Version`
const VERSION: u8 = 0xa0;
/// 2.5.4.3, commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// When the certificate starts to be valid, in seconds since the Unix epoch; none where that cannot
/// be read.
pub(super) fn starts_s(certificate: &[u8]) -> Option<i64> {
    let (validity, _) = validity_and_subject(certificate)?;
    let ((tag, time), _) = element(validity)?;
    time_s(tag, time)
}

/// When it ends, likewise.
pub(super) fn ends_s(certificate: &[u8]) -> Option<i64> {
    let (validity, _) = validity_and_subject(certificate)?;
    let (_not_before, rest) = element(validity)?;
    let ((tag, time), _) = element(rest)?;
    time_s(tag, time)
}

/// The earliest end of a chain's certificates, in seconds since the Unix epoch: from then on it
/// leads nowhere. None where no end can be read.
pub(super) fn chain_ends_s<'c>(chain: impl IntoIterator<Item = &'c [u8]>) -> Option<i64> {
    chain.into_iter().filter_map(ends_s).min()
}

/// The last common name of the subject, which is its most specific one; none without one.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, mut subject) = validity_and_subject(certificate)?;
    let mut name = None;
    while !subject.is_empty() {
        let (mut set, rest) = tagged(SET, subject)?;
        while !set.is_empty() {
            let (pair, others) = tagged(SEQUENCE, set)?;
            let (kind, value) = tagged(OBJECT_IDENTIFIER, pair)?;
            if kind == COMMON_NAME {
                let ((tag, value), _) = element(value)?;
                name = text(tag, value).or(name);
            }
            set = others;
        }
        subject = rest;
    }
    name.filter(|name| !name.is_empty())
}

fn validity_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = tagged(SEQUENCE, certificate)?;
    let (to_be_signed, _) = tagged(SEQUENCE, certificate)?;
    let rest = tagged(VERSION, to_be_signed).map_or(to_be_signed, |(_, rest)| rest);
    let (_serial_number, rest) = tagged(INTEGER, rest)?;
    let (_signature, rest) = tagged(SEQUENCE, rest)?;
    let (_issuer, rest) = tagged(SEQUENCE, rest)?;
    let (validity, rest) = tagged(SEQUENCE, rest)?;
    let (subject, _) = tagged(SEQUENCE, rest)?;
    Some((validity, subject))
}

/// The content of the first element, which must have that tag, and what follows it.
fn tagged(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ((found, content), rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// The first element, its tag and its content, and what follows it (X.690, section 8.1): tags of
/// one byte, lengths of at most four.
fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    const LONG: u8 = 0x80;
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < LONG {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first - LONG);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let add = |length: u32, digit: &u8| (length << 8) | u32::from(*digit);
        (usize::try_from(digits.iter().fold(0, add)).ok()?, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(((tag, content), rest))
}

/// The characters of a name that are kept, by the type of its string.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    let text = match tag {
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING => String::from_utf8_lossy(value).into_owned(),
        TELETEX_STRING => value.iter().copied().map(char::from).collect(),
        BMP_STRING => {
            let units = value.chunks_exact(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            char::decode_utf16(units)
                .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => return None,
    };
    Some(text.chars().take(NAME_CHARS_MAX).collect())
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` (RFC 5280, section 4.1.2.5) → seconds since the Unix epoch.
fn time_s(tag: u8, time: &[u8]) -> Option<i64> {
    let digits = time.strip_suffix(b"Z")?;
    let wanted = match tag {
        UTC_TIME => 12,
        GENERALIZED_TIME => 14,
        _ => return None,
    };
    if digits.len() != wanted || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, rest) = digits.split_at_checked(wanted - 10)?;
    let year = match number(year) {
        year if tag == GENERALIZED_TIME => year,
        year if year < 50 => 2000 + year,
        year => 1900 + year,
    };
    let mut parts = rest.chunks_exact(2).map(number);
    let (month, day) = (parts.next()?, parts.next()?);
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let is_valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    is_valid.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Civil date → days since the Unix epoch, as Howard Hinnant's `days_from_civil` has it.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::super::fault::{TlsFile, TlsKey};
    use super::super::protocol::trusted;
    use super::*;
    use crate::testing::random::Random;
    use std::path::Path;

    fn certificate(name: &str) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name);
        trusted(Some(TlsFile { key: TlsKey::OutputCa, path: &path })).unwrap().remove(0)
    }

    #[test]
    fn the_end_and_the_name_of_a_certificate_are_read() {
        let client = certificate("client.pem");
        assert_eq!(common_name(&client).as_deref(), Some("pushline tests client"));
        assert_eq!(starts_s(&client), Some(1_577_836_800), "2020-01-01");
        assert_eq!(ends_s(&client), Some(4_733_510_400), "2120-01-01");
    }

    #[test]
    fn a_chain_ends_with_the_first_of_its_certificates_to_end() {
        let (late, early) = (certificate("client.pem"), certificate("expired.pem"));
        let (end, early_end) = (Some(4_733_510_400), Some(1_609_459_200));
        for (chain, want) in [
            (vec![&late[..], &early], early_end),
            (vec![&early, &late], early_end),
            (vec![&late, &[]], end),
            (vec![&[], &late], end),
            (vec![&[][..]], None),
            (vec![], None),
        ] {
            assert_eq!(chain_ends_s(chain.iter().copied()), want, "{} of them", chain.len());
        }
    }

    #[test]
    fn times_of_both_forms_are_read_and_others_are_none() {
        for (tag, time, want) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (GENERALIZED_TIME, "20000229123456Z", Some(951_827_696)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "700101000000Z", None),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "700100000000Z", None),
            (UTC_TIME, "700101240000Z", None),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "700101000000+0000", None),
            (UTC_TIME, "70010100000xZ", None),
            (INTEGER, "700101000000Z", None),
        ] {
            assert_eq!(time_s(tag, time.as_bytes()), want, "{time}");
        }
    }

    #[test]
    fn names_of_every_type_of_string_are_text_and_bounded() {
        for (tag, value, want) in [
            (UTF8_STRING, "Ä\u{7}".as_bytes().to_vec(), Some("Ä\u{7}".to_owned())),
            (UTF8_STRING, vec![b'a', 0xff], Some("a\u{fffd}".to_owned())),
            (TELETEX_STRING, vec![0xc4], Some("Ä".to_owned())),
            (BMP_STRING, vec![0x00, 0xc4, 0xd8, 0x00, 0x01], Some("Ä\u{fffd}".to_owned())),
            (PRINTABLE_STRING, vec![b'x'; 70_000], Some("x".repeat(NAME_CHARS_MAX))),
            (INTEGER, vec![1], None),
        ] {
            assert_eq!(text(tag, &value), want, "{tag}");
        }
    }

    #[test]
    fn lengths_that_lie_give_nothing() {
        for bytes in [
            &[][..],
            &[SEQUENCE],
            &[SEQUENCE, 0x80],
            &[SEQUENCE, 0x85, 1, 1, 1, 1, 1],
            &[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            &[SEQUENCE, 2, 0],
        ] {
            assert_eq!(element(bytes), None, "{bytes:?}");
        }
        assert_eq!(element(&[SET, 0x81, 1, 7, 8]), Some(((SET, &[7][..]), &[8][..])));
    }

    #[test]
    fn every_prefix_and_every_flipped_bit_of_a_certificate_is_read_without_harm() {
        let whole = certificate("client.pem");
        for end in 0..whole.len() {
            assert_eq!(ends_s(&whole[..end]), None, "cut at {end}");
            assert_eq!(common_name(&whole[..end]), None, "cut at {end}");
        }
        let mut others = 0;
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            others += usize::from(common_name(&flipped) != common_name(&whole));
            ends_s(&flipped);
        }
        assert!(others > 100, "only {others} flips change the name");
        let mut random = Random::new(7);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.below(64)).map(|_| random.byte()).collect();
            bytes.splice(0..0, [SEQUENCE, 0x3e, SEQUENCE, 0x3c].into_iter().take(random.below(5)));
            ends_s(&bytes);
            common_name(&bytes);
        }
    }
}
