//! App files: what is taken is taken again and is the same; what is refused is
//! refused at a place in the text.

use crate::domain::app_file::{AppFile, AppProblem, diff};

/// Reads `data` as an app file of either form.
pub fn app_files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match AppFile::parse(text) {
        Ok(app) => assert!(diff(&app, &app).is_empty(), "it differs from itself"),
        Err(problems) => in_place(text, &problems),
    }
    match AppFile::from_json(text) {
        Ok(app) => match AppFile::parse(&app.source) {
            Ok(again) => assert!(diff(&app, &again).is_empty(), "TOML and JSON differ"),
            Err(problems) => panic!("{}: {problems:?}", app.source),
        },
        Err(problems) => in_place(text, &problems),
    }
}

fn in_place(text: &str, problems: &[AppProblem]) {
    assert!(!problems.is_empty(), "refused without a reason");
    let lines = text.matches('\n').count() + 1;
    for problem in problems {
        assert!((1..=lines).contains(&problem.line), "{problem}");
        assert!(
            problem.column >= 1 && !problem.message.is_empty(),
            "{problem}"
        );
    }
}
