//! GRAMMAR.md is true: its reserved words are the lexer's, its examples parse, its pairs parse to the same tree.

use dlc_dsl::lexer::Word;
use dlc_dsl::{Sources, diagnostic, format, parse, parse_ron, to_ron};

const GRAMMAR: &str = include_str!("../GRAMMAR.md");

/// The fenced texts in this language.
fn fenced(language: &str) -> Vec<&'static str> {
    let open = format!("```{language}\n");
    let texts = GRAMMAR.split(&open).skip(1);
    texts.map(|rest| rest.split_once("```").expect("is closed").0).collect()
}

#[test]
fn reserved_words_are_those_of_the_lexer() {
    let listed: Vec<&str> = fenced("words")[0].split_whitespace().collect();
    let known: Vec<&str> = Word::ALL.iter().map(|word| word.text()).collect();
    assert_eq!(listed, known);
    assert_eq!(known.len(), 31);
    for word in Word::ALL {
        assert_eq!(Word::of(word.text()), Some(*word));
    }
}

#[test]
fn texts_are_read_and_formatted() {
    let texts = fenced("dl");
    assert!(texts.len() >= 3);
    for text in texts {
        let mut sources = Sources::new();
        let source = sources.add("GRAMMAR.md", text);
        let (file, errors) = parse(source, text);
        assert!(errors.is_empty(), "{}", diagnostic::render_all(&errors, &sources, false));
        let formatted = format(source, text).expect("has no errors");
        assert_eq!(formatted, text);
        let ron = to_ron(&file);
        let source = sources.add("printed.ron", ron.clone());
        let (again, errors) = parse_ron(source, &ron);
        assert!(errors.is_empty(), "{}", diagnostic::render_all(&errors, &sources, false));
        assert!(again.same(&file), "{ron}");
    }
}

#[test]
fn the_ron_example_equals_the_text_beside_it() {
    let ron = *fenced("ron").last().expect("there is one");
    let dl = *fenced("dl").last().expect("there is one");
    let mut sources = Sources::new();
    let source = sources.add("GRAMMAR.ron", ron);
    let (from_ron, errors) = parse_ron(source, ron);
    assert!(errors.is_empty(), "{}", diagnostic::render_all(&errors, &sources, false));
    let source = sources.add("GRAMMAR.dl", dl);
    let (from_dl, errors) = parse(source, dl);
    assert!(errors.is_empty(), "{}", diagnostic::render_all(&errors, &sources, false));
    assert!(from_ron.same(&from_dl), "{}", dlc_dsl::to_dl(&from_ron));
}
