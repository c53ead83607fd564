//! The golden vectors (`tests/golden/README.md`) → cases.

use serde_json::Value;
use std::path::Path;

/// One line of one file.
#[derive(Debug)]
pub(crate) struct Case {
    /// `file/name`
    pub(crate) name: String,
    pub(crate) method: String,
    /// Raw bytes.
    pub(crate) path: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    /// As sent.
    pub(crate) body: Vec<u8>,
    /// The body is the chunk framing itself.
    pub(crate) is_framed: bool,
    /// What differs from the defaults.
    pub(crate) options: Value,
    pub(crate) status: u16,
    /// One field each, sorted unless `is_ordered`.
    pub(crate) lines: Vec<String>,
    /// The same of the answer to a dry run.
    pub(crate) answer_lines: Option<Vec<String>>,
    pub(crate) is_ordered: bool,
    pub(crate) response_headers: Vec<(String, String)>,
}

impl Case {
    /// A request header, by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(is_it).map(|(_, value)| value.as_str())
    }

    /// Lines in the order in which they are compared: sorted, or as they came, `_sum` and `_count`
    /// aside.
    pub(crate) fn comparable(&self, mut lines: Vec<String>) -> Vec<String> {
        let is_aside = |line: &String| line.contains("_sum=") || line.contains("_count=");
        if self.is_ordered {
            let (mut aside, ordered): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_aside);
            aside.sort();
            return aside.into_iter().chain(ordered).collect();
        }
        lines.sort();
        lines
    }

    /// Whether it pushes.
    pub(crate) fn is_push(&self) -> bool {
        matches!(self.method.as_str(), "PUT" | "POST")
    }

    /// Whether it is a push that a client sends whole and the gate lets through: then its path,
    /// its headers and its body decide what becomes of it.
    pub(crate) fn is_whole_push(&self) -> bool {
        let is_cut_or_framed = self.is_framed || self.header("Content-Length").is_some();
        let is_from_a_site = self.header("Sec-Fetch-Site").is_some_and(|site| site != "none");
        let is_target = |byte: &u8| *byte > b' ' && *byte != 0x7f;
        self.is_push() && !is_cut_or_framed && !is_from_a_site && self.path.iter().all(is_target)
    }

    /// The lines that the push becomes, wherever they go.
    pub(crate) fn all_lines(&self) -> Vec<String> {
        self.answer_lines.clone().unwrap_or_else(|| self.lines.clone())
    }
}

/// All cases of all files.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 12, "a file of vectors is missing, or is new and not counted here");
    paths.iter().flat_map(|path| cases_of(path)).collect()
}

fn cases_of(path: &Path) -> Vec<Case> {
    let theme = path.file_stem().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| case(theme, &serde_json::from_str(line).unwrap())).collect()
}

fn case(theme: &str, value: &Value) -> Case {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    let is_set = |key: &str| value.get(key).is_some_and(|flag| flag.as_bool().unwrap());
    let one = match value.get("body_b64") {
        Some(encoded) => base64(encoded.as_str().unwrap()),
        None => text("body").into_bytes(),
    };
    let repeat = value.get("repeat").map_or(1, |count| count.as_u64().unwrap() as usize);
    Case {
        name: format!("{theme}/{}", text("name")),
        method: text("method"),
        // One character a byte.
        path: text("path").chars().map(|char| u8::try_from(u32::from(char)).unwrap()).collect(),
        headers: pairs(&value["headers"]),
        body: one.repeat(repeat),
        is_framed: is_set("framed"),
        options: value["options"].clone(),
        status: u16::try_from(value["status"].as_u64().unwrap()).unwrap(),
        lines: texts(&value["lines"]),
        answer_lines: value.get("answer_lines").map(texts),
        is_ordered: is_set("ordered"),
        response_headers: value.get("response_headers").map(pairs).unwrap_or_default(),
    }
}

fn texts(array: &Value) -> Vec<String> {
    array.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn pairs(object: &Value) -> Vec<(String, String)> {
    let pair = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap().to_owned());
    object.as_object().unwrap().iter().map(pair).collect()
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut bit_count = 0;
    let mut bytes = Vec::new();
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|known| *known == byte).unwrap();
        bits = bits << 6 | value as u32;
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push((bits >> bit_count & 0xff) as u8);
        }
    }
    bytes
}
