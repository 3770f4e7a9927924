//! What becomes of rows when something goes wrong.

use super::load::{Settled, connect, deliver, deliver_and};
use super::shop::{Answer, Instead, Manners, PASSWORD, SESSID, TestShop};
use obmen_sdk::{ErrorKind, Outcome, RejectClass};
use std::time::Duration;

const ALWAYS: usize = 1000;

fn instead(mode: &'static str, file: &'static str, times: usize, answer: Answer) -> Manners {
    Manners { instead: vec![Instead { mode, file, times, answer }], ..Manners::default() }
}

async fn outcome(manners: Manners, more: &str) -> (Settled, TestShop) {
    let shop = TestShop::start(manners).await;
    let (connection, _) = connect(&shop.url, more);
    let settled = deliver(&connection).await.unwrap();
    assert_eq!(shop.seen(|seen| seen.wrong.clone()), Vec::<String>::new());
    (settled, shop)
}

fn count(shop: &TestShop, line: &str) -> usize {
    shop.log().iter().filter(|seen| *seen == line).count()
}

fn is_rejected(outcome: &Outcome, altered: bool, class: RejectClass, part: &str) {
    match outcome {
        Outcome::Rejected { altered: is, class: of, reason } if (*is, *of) == (altered, class) => {
            assert!(reason.contains(part), "{part} is not in: {reason}");
        }
        other => panic!("expected {} with {part}: {other:?}", class.name()),
    }
}

fn is_unknown(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_refused_file_may_be_altered_and_the_next_is_not_sent() {
    let says = Answer::Says(200, format!("failure\nНет прав, {PASSWORD} {SESSID}"));
    let (settled, shop) = outcome(instead("import", "import0", ALWAYS, says), "").await;
    is_rejected(&settled[&1], true, RejectClass::Data, "did not import import0_1.xml: Нет прав, [secret] [secret]");
    is_rejected(&settled[&2], true, RejectClass::Data, "Нет прав");
    is_rejected(&settled[&11], false, RejectClass::Temporary, "offers0_1.xml was not imported because");
    assert_eq!(count(&shop, "import offers0_1.xml"), 0);
    assert_eq!(count(&shop, "init"), 1, "a refusal is not asked for twice");
}

#[tokio::test]
async fn goods_stay_delivered_when_offers_are_refused() {
    let (settled, _) = outcome(instead("import", "offers", ALWAYS, Answer::Says(200, "failure".to_owned())), "").await;
    assert_eq!([&settled[&1], &settled[&2]], [&Outcome::acked(), &Outcome::acked()]);
    is_rejected(&settled[&11], true, RejectClass::Data, "says nothing");
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_failure() {
    for (said, shown) in
        [("", "says nothing"), ("<h1>Fatal\nerror</h1>", "Fatal error"), ("error import file", "error import file")]
    {
        let (settled, _) = outcome(instead("import", "import0", ALWAYS, Answer::Says(200, said.to_owned())), "").await;
        is_rejected(&settled[&1], true, RejectClass::Temporary, shown);
    }
}

#[tokio::test]
async fn a_lost_answer_makes_the_whole_exchange_anew() {
    for (mode, file) in [("file", "import0"), ("file", "offers"), ("import", "import0"), ("init", "")] {
        for answer in [Answer::Silence, Answer::Broken, Answer::Says(502, "Bad gateway".to_owned())] {
            let (settled, shop) = outcome(instead(mode, file, 1, answer.clone()), "").await;
            assert!(settled.values().all(|outcome| *outcome == Outcome::acked()), "{mode} {answer:?}: {settled:?}");
            assert_eq!([count(&shop, "checkauth"), count(&shop, "init")], [2, 2], "{mode} {answer:?}");
            // The file that was appended to twice would show.
            assert_eq!(shop.imported("import0_1.xml").matches("<?xml").count(), 1);
        }
    }
}

#[tokio::test]
async fn what_was_imported_is_not_sent_again() {
    let (settled, shop) = outcome(instead("import", "offers", 1, Answer::Silence), "").await;
    assert!(settled.values().all(|outcome| *outcome == Outcome::acked()));
    assert_eq!([count(&shop, "import import0_1.xml"), count(&shop, "import offers0_1.xml")], [1, 2]);
}

#[tokio::test]
async fn answers_lost_again_and_again_leave_doubt_only_where_there_is_some() {
    let (settled, shop) = outcome(instead("import", "offers", ALWAYS, Answer::Silence), "retries: 1").await;
    assert_eq!(settled[&1], Outcome::acked());
    is_unknown(&settled[&11]);
    assert_eq!(count(&shop, "init"), 2);
    let (settled, _) = outcome(instead("import", "import0", ALWAYS, Answer::Silence), "retries: 0").await;
    is_unknown(&settled[&1]);
    is_rejected(&settled[&11], false, RejectClass::Temporary, "no answer");
    let (settled, _) = outcome(instead("file", "offers", ALWAYS, Answer::Broken), "retries: 0").await;
    is_unknown(&settled[&1]);
    let (settled, _) = outcome(instead("file", "import0", ALWAYS, Answer::Broken), "retries: 0").await;
    is_rejected(&settled[&1], false, RejectClass::Temporary, "broke");
}

#[tokio::test]
async fn an_upload_that_is_not_taken_touches_nothing() {
    let (settled, shop) =
        outcome(instead("file", "import0", ALWAYS, Answer::Says(200, "failure\nдиск полон".to_owned())), "").await;
    for outcome in settled.values() {
        is_rejected(outcome, false, RejectClass::Temporary, "диск полон");
    }
    assert_eq!(count(&shop, "import import0_1.xml"), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (settled, shop) = outcome(instead("file", "import0", ALWAYS, Answer::Redirect), "").await;
    is_rejected(&settled[&1], false, RejectClass::Temporary, "moved to https://other.example/exchange");
    assert_eq!(count(&shop, "file import0_1.xml"), 1);
}

#[tokio::test]
async fn an_import_that_is_stuck_or_endless_is_given_up() {
    for more in ["import_stuck: 50ms", "import_deadline: 50ms"] {
        let manners = Manners { progress: usize::MAX, progress_moves: more.contains("deadline"), ..Manners::default() };
        let (settled, shop) = outcome(manners, more).await;
        is_unknown(&settled[&1]);
        is_rejected(&settled[&11], false, RejectClass::Temporary, "import0_1.xml");
        assert_eq!(count(&shop, "init"), 1);
    }
}

#[tokio::test]
async fn a_stop_before_the_exchange_leaves_everything_untouched() {
    let shop = TestShop::start(Manners::default()).await;
    let (connection, stop) = connect(&shop.url, "");
    let settled = deliver_and(&connection, || stop.set()).await.unwrap();
    for outcome in settled.values() {
        is_rejected(outcome, false, RejectClass::Temporary, "stopped");
    }
    assert_eq!(shop.log(), ["checkauth"]);
    assert_eq!(deliver(&connection).await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_door_that_closed_meanwhile_is_opened_again() {
    let (settled, shop) = outcome(instead("init", "", 1, Answer::Says(401, String::new())), "retries: 0").await;
    assert!(settled.values().all(|outcome| *outcome == Outcome::acked()), "{settled:?}");
    assert_eq!(count(&shop, "checkauth"), 2);
}

#[tokio::test]
async fn a_stop_while_an_import_goes_on_leaves_it_unknown() {
    let shop = TestShop::start(Manners { progress: usize::MAX, ..Manners::default() }).await;
    let (connection, stop) = connect(&shop.url, "");
    let stopping = async {
        while count(&shop, "import import0_1.xml") < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.set();
    };
    let (settled, ()) = tokio::join!(deliver(&connection), stopping);
    let settled = settled.unwrap();
    is_unknown(&settled[&1]);
    is_rejected(&settled[&11], false, RejectClass::Temporary, "stopped");
}

#[tokio::test]
async fn not_let_in_says_what_to_look_at() {
    for manners in [
        Manners { lets_in: false, ..Manners::default() },
        instead("checkauth", "", ALWAYS, Answer::Says(401, String::new())),
    ] {
        let shop = TestShop::start(manners).await;
        let (connection, _) = connect(&shop.url, "");
        let error = deliver(&connection).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.to_string().contains("`Authorization` header"), "{error}");
    }
}

#[tokio::test]
async fn a_page_that_is_no_exchange_is_told_from_a_wrong_password() {
    let shop = TestShop::start(instead(
        "checkauth",
        "",
        ALWAYS,
        Answer::Says(200, "<html><b>Добро пожаловать</b>".to_owned()),
    ))
    .await;
    let (connection, _) = connect(&shop.url, "");
    let error = connection.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("no 1c_exchange: the answer to `checkauth` is `Добро пожаловать`"), "{error}");
}
