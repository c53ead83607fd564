//! Text with the marks of Markdown → a manual page in the macros of man(7).

/// A manual page that is being written.
pub(super) struct Page {
    text: String,
}

impl Page {
    /// `about` is what `apropos` shows.
    pub(super) fn new(name: &str, section: u8, about: &str) -> Page {
        let version = concat!("pushline ", env!("CARGO_PKG_VERSION"));
        let (title, date) = (name.to_uppercase(), date());
        let mut page = Page { text: ".\\\" Made by BLESS=1 cargo test --lib manual\n".to_owned() };
        let head = format!(
            ".TH \"{}\" {section} \"{date}\" \"{version}\" \"pushline\"\n.nh\n.ad l\n",
            plain(&title)
        );
        page.text.push_str(&head);
        page.section("NAME");
        page.text.push_str(&format!("{} \\- {}\n", plain(name), plain(about)));
        page
    }

    pub(super) fn section(&mut self, heading: &str) {
        self.text.push_str(&format!(".SH \"{}\"\n", plain(heading).replace('"', "\\(dq")));
    }

    pub(super) fn paragraph(&mut self, markdown: &str) {
        self.push_gap();
        self.text.push_str(&format!("{}\n", line(markdown)));
    }

    /// A paragraph begins, unless a section just did.
    fn push_gap(&mut self) {
        let last = self.text.lines().next_back();
        if !last.is_some_and(|last| last.starts_with(".SH")) {
            self.text.push_str(".PP\n");
        }
    }

    /// What is explained, and the explanation.
    pub(super) fn entry(&mut self, term: &str, markdown: &str) {
        self.text.push_str(&format!(".TP\n{}\n{}\n", line(term), line(markdown)));
    }

    pub(super) fn bullet(&mut self, markdown: &str) {
        self.text.push_str(&format!(".IP \\(bu 2\n{}\n", line(markdown)));
    }

    /// Lines as they are.
    pub(super) fn literal(&mut self, lines: &str) {
        self.push_gap();
        self.text.push_str(".RS 4\n.nf\n");
        for line in lines.trim_end().lines() {
            self.text.push_str(&format!("{}\n", shielded(&plain(line))));
        }
        self.text.push_str(".fi\n.RE\n");
    }

    /// More of the last entry: lines as they are.
    pub(super) fn literal_of_entry(&mut self, lines: &[&str]) {
        self.text.push_str(".IP\n.nf\n");
        for line in lines {
            self.text.push_str(&format!("{}\n", shielded(&plain(line))));
        }
        self.text.push_str(".fi\n");
    }

    /// More of the last entry.
    pub(super) fn more_of_entry(&mut self, markdown: &str) {
        self.text.push_str(&format!(".IP\n{}\n", line(markdown)));
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// The date of this version, as the changelog has it.
fn date() -> String {
    let changelog = std::fs::read_to_string(super::file("CHANGELOG.md")).unwrap();
    let head = concat!("## [", env!("CARGO_PKG_VERSION"), "]");
    let head = changelog.lines().find(|line| line.starts_with(head)).unwrap();
    head.rsplit(' ').next().unwrap().to_owned()
}

/// A line of text for roff: nothing of it is taken for a request.
fn line(markdown: &str) -> String {
    shielded(&inline(markdown))
}

/// A dot or a quote at the start of a line would be a request, an empty line a gap.
fn shielded(text: &str) -> String {
    let needs = text.is_empty() || text.starts_with(['.', '\'', ' ']);
    if needs { format!("\\&{text}") } else { text.to_owned() }
}

/// `code` and **strong** words are bold; a link is its words.
fn inline(markdown: &str) -> String {
    let (mut text, mut rest) = (String::new(), markdown);
    let (mut is_code, mut is_strong) = (false, false);
    while let Some(char) = rest.chars().next() {
        let link = (!is_code && char == '[').then(|| link(rest)).flatten();
        if let Some((words, after)) = link {
            text.push_str(&inline(words));
            rest = after;
            continue;
        }
        match char {
            '`' => {
                is_code = !is_code;
                text.push_str(if is_code || is_strong { "\\fB" } else { "\\fR" });
            }
            '*' if !is_code && rest.starts_with("**") => {
                rest = rest.strip_prefix('*').unwrap();
                is_strong = !is_strong;
                text.push_str(if is_strong { "\\fB" } else { "\\fR" });
            }
            char => text.push_str(&plain(char.encode_utf8(&mut [0; 4]))),
        }
        rest = rest.strip_prefix(char).unwrap();
    }
    assert!(!is_code && !is_strong, "not closed: {markdown}");
    text
}

/// `[words](target)` at the start of a text: the words, and what follows.
fn link(text: &str) -> Option<(&str, &str)> {
    let (words, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (_, after) = rest.split_once(')')?;
    (!words.contains(['[', ']'])).then_some((words, after))
}

/// Characters as they are: what roff would change is escaped, what is not ASCII is named.
pub(super) fn plain(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            char if char.is_ascii() => escaped.push(char),
            char => escaped.push_str(&format!("\\[u{:04X}]", u32::from(char))),
        }
    }
    escaped
}

#[test]
fn marks_become_bold_and_nothing_is_taken_for_a_request() {
    for (markdown, want) in [
        ("a `b-c` d", "a \\fBb\\-c\\fR d"),
        ("**a `b` c** d", "\\fBa \\fBb\\fB c\\fR d"),
        ("see [the `x`](a/b.md#c), and [1]", "see the \\fBx\\fR, and [1]"),
        (".TH", "\\&.TH"),
        ("'x' \\n …", "\\(aqx\\(aq \\en \\[u2026]"),
        ("", "\\&"),
    ] {
        assert_eq!(line(markdown), want, "{markdown}");
    }
}
