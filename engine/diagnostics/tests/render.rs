//! The same diagnostics, shown in every way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use obmen_diagnostics::render::{Case, Outcome, Suite, github, json, junit, text};
use obmen_diagnostics::{Diagnostic, Files, Problems, Severity, Span, code};

const FILE: &str = "# Заказы\nsources:\n  заказы: { tabel: public.orders, key: [id] }\n  клиенты:\n    key: id\n";

fn sample() -> (Files, Problems) {
    let (mut files, mut problems) = (Files::new(), Problems::new());
    let file = files.add("pipelines/заказы.yaml", FILE);
    let at = |word: &str| {
        let start = FILE.find(word).unwrap();
        Span::new(file, start..start + word.len())
    };
    problems
        .error(code::UNKNOWN_FIELD, at("tabel"), "unknown field `tabel`")
        .note("here")
        .label(at("заказы:"), "in this source")
        .help("a field with a similar name exists")
        .help("or ask somebody")
        .fix(at("tabel"), "table");
    problems.warning(code::UNUSED_SOURCE, at("клиенты:\n    key: id"), "nothing reads source `клиенты`, 100%");
    (files, problems)
}

#[test]
fn text_looks_like_rustc() {
    let (files, problems) = sample();
    let shown = text(&files, &problems.sorted(), false);
    let expected = "\
error[unknown-field]: unknown field `tabel`
 --> pipelines/заказы.yaml:3:13
  |
3 |   заказы: { tabel: public.orders, key: [id] }
  |   -------   ^^^^^ here
  |   |
  |   in this source
  |
  = help: or ask somebody
help: a field with a similar name exists
  |
3 -   заказы: { tabel: public.orders, key: [id] }
3 +   заказы: { table: public.orders, key: [id] }
  |

warning[unused-source]: nothing reads source `клиенты`, 100%
 --> pipelines/заказы.yaml:4:3
  |
4 |   клиенты:
  |   ^^^^^^^^
";
    assert_eq!(shown, expected, "{shown}");
    assert!(text(&files, &problems.sorted(), true).contains('\u{1b}'));
    assert_eq!(text(&files, &[], false), "");
}

#[test]
fn json_has_the_promised_shape() {
    let (files, problems) = sample();
    let shown = json(&files, &problems.sorted());
    assert_eq!(
        shown["diagnostics"][0].to_string(),
        concat!(
            r#"{"code":"unknown-field","severity":"error","message":"unknown field `tabel`","file":"pipelines/заказы.yaml","#,
            r#""line":3,"column":13,"end_line":3,"end_column":18,"help":["a field with a similar name exists","or ask somebody"],"#,
            r#""fix":{"line":3,"column":13,"end_line":3,"end_column":18,"replacement":"table"}}"#
        )
    );
    let whole = Diagnostic {
        labels: Vec::new(),
        ..Diagnostic::new(code::CYCLE, Severity::Error, problems.sorted()[0].span().unwrap(), "x")
    };
    let shown = json(&files, &[&whole]);
    assert_eq!(
        shown.to_string(),
        r#"{"diagnostics":[{"code":"cycle","severity":"error","message":"x","file":null,"line":null,"column":null,"end_line":null,"end_column":null,"help":[],"fix":null}]}"#
    );
}

#[test]
fn github_escapes_what_would_end_the_command() {
    let (files, problems) = sample();
    assert_eq!(
        github(&files, &problems.sorted()),
        "::error file=pipelines/заказы.yaml,line=3,endLine=3,col=13,endColumn=18,title=unknown-field::unknown field `tabel`%0Ahelp: a field with a similar name exists%0Ahelp: or ask somebody\n\
         ::warning file=pipelines/заказы.yaml,line=4,endLine=5,title=unused-source::nothing reads source `клиенты`, 100%25\n"
    );
    let mut files = Files::new();
    let file = files.add("a,b:c.yaml", "");
    let odd = Diagnostic::new(code::CYCLE, Severity::Error, Span::new(file, 0..0), "x\r\ny");
    assert_eq!(
        github(&files, &[&odd]),
        "::error file=a%2Cb%3Ac.yaml,line=1,endLine=1,col=1,endColumn=1,title=cycle::x%0D%0Ay\n"
    );
}

#[test]
fn junit_is_xml_whatever_the_text() {
    let case =
        |name: &str, outcome| Case { name: name.to_owned(), class: "site_offers".to_owned(), seconds: 0.25, outcome };
    let suite = Suite {
        name: "site_offers.test.yaml".to_owned(),
        cases: vec![
            case("цена <одна>", Outcome::Passed),
            case(
                "две",
                Outcome::Failed {
                    message: "\"a\" & b\nc".to_owned(),
                    details: "\u{1b}[31mred\u{1b}[0m\u{0}\u{fffe} <>&".to_owned(),
                },
            ),
            case("три", Outcome::Skipped { reason: "no service".to_owned() }),
        ],
    };
    let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0.750\">
  <testsuite name=\"site_offers.test.yaml\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0.750\">
    <testcase name=\"цена &lt;одна&gt;\" classname=\"site_offers\" time=\"0.250\"/>
    <testcase name=\"две\" classname=\"site_offers\" time=\"0.250\">
      <failure message=\"&quot;a&quot; &amp; b&#10;c\">red &lt;&gt;&amp;</failure>
    </testcase>
    <testcase name=\"три\" classname=\"site_offers\" time=\"0.250\">
      <skipped message=\"no service\"/>
    </testcase>
  </testsuite>
</testsuites>
";
    assert_eq!(junit(&[suite]), expected);
}

#[test]
fn secrets_are_not_shown() {
    let mut files = Files::new();
    let source = "crm: { type: http, password: qwerty, ulr: x }\n";
    let file = files.add("obmen.yaml", source);
    let start = source.find("ulr").unwrap();
    let mut found =
        Diagnostic::new(code::UNKNOWN_FIELD, Severity::Error, Span::new(file, start..start + 3), "unknown field `ulr`");
    found.fix(Span::new(file, start..start + 3), "url");
    let shown = text(&files, &[&found], false);
    assert!(shown.contains("password: ******, ulr: x"), "{shown}");
    assert!(!shown.contains("qwerty"), "{shown}");
}

#[test]
fn places_outside_the_file_are_shown_somewhere() {
    let mut files = Files::new();
    let file = files.add("a.yaml", "я");
    for span in [Span::new(file, 1..9), Span::new(file, 7..9), Span { file, start: 2, end: 0 }, Span::new(file, 0..1)] {
        let found = Diagnostic::new(code::CYCLE, Severity::Error, span, "x");
        assert!(text(&files, &[&found], false).contains("a.yaml:1"));
    }
    let nowhere = Diagnostic::new(code::CYCLE, Severity::Error, Span::new(obmen_diagnostics::FileId(9), 0..1), "x");
    assert_eq!(text(&files, &[&nowhere], false), "error[cycle]: x\n");
}
