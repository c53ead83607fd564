//! Comments: what TYPE lines say of the samples after them, and `# EOF` (SPEC 1.3, 5).

use super::super::error::{Error, ErrorKind};
use super::super::name;
use super::super::types::FamilyKind;
use super::cursor::excerpt;
use super::dialect::Dialect;
use super::quoted::quoted_name;
use super::reader::Reading;
use std::borrow::Cow;

impl Reading<'_> {
    /// A TYPE line as client libraries write it, with the line end: false, and nothing is read,
    /// where it is another line.
    #[inline(always)]
    pub(super) fn usual_type_line(&mut self) -> bool {
        let mut cursor = self.cursor;
        if cursor.ahead() != Some(*b"# TYPE ") {
            return false;
        }
        cursor.skip("# TYPE ".len());
        let start = cursor.at();
        let family = cursor.metric_name();
        let (kind, rest_len) = if cursor.ahead() == Some(*b" gauge\n") {
            (FamilyKind::Plain, " gauge\n".len())
        } else if cursor.ahead() == Some(*b" counter\n") {
            (FamilyKind::Plain, " counter\n".len())
        } else if cursor.ahead() == Some(*b" histogram\n") {
            (FamilyKind::Histogram, " histogram\n".len())
        } else {
            return false;
        };
        if family.is_empty() {
            return false;
        }
        cursor.skip(rest_len);
        self.cursor = cursor;
        self.types.declare(Cow::Borrowed(family), kind);
        self.series.expect_name(start, family.len());
        true
    }

    /// `"#" blanks "TYPE" blank type`, `"#" blanks "EOF"` or any other comment.
    pub(super) fn comment(&mut self) -> Result<(), Error> {
        self.cursor.advance();
        self.cursor.skip_blanks();
        match self.cursor.peek() {
            b'T' if self.cursor.token() == "TYPE" => self.type_line(),
            b'E' if self.cursor.token() == "EOF" => {
                self.cursor.skip_blanks();
                let is_alone = self.cursor.is_at_line_end();
                self.is_ended = is_alone && self.dialect == Dialect::OpenMetrics;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `( name | quoted ) blanks word`; without a name or a word it is a comment.
    fn type_line(&mut self) -> Result<(), Error> {
        self.cursor.skip_blanks();
        let start = self.cursor;
        let mut is_name = true;
        let family = match start.peek() {
            b'"' => quoted_name(&mut self.cursor, self.series.pairs.unknown_escape)?,
            _ => {
                let name = self.cursor.metric_name();
                is_name = matches!(self.cursor.peek(), b' ' | b'\t');
                if !is_name {
                    self.cursor.token();
                }
                Cow::Borrowed(name)
            }
        };
        self.cursor.skip_blanks();
        let word_start = self.cursor;
        let word = self.cursor.token();
        if word.is_empty() {
            return Ok(());
        }
        if start.peek() == b'"' {
            name::check_metric(&family, self.series.pairs.names)
                .map_err(|kind| start.error(kind))?;
        } else if !is_name {
            return Err(start.unexpected("a metric name"));
        }
        let Some(kind) = FamilyKind::of_word(word.as_bytes()) else {
            return Err(word_start.error(ErrorKind::TypeWord { found: excerpt(word) }));
        };
        let expected_len = if start.peek() == b'"' { 0 } else { family.len() };
        self.types.declare(family, kind);
        self.series.expect_name(start.at(), expected_len);
        self.expect_line_end("the end of the line")
    }
}
