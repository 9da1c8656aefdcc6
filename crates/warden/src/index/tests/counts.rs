//! What the index counts.

use super::*;

#[test]
fn an_overview_counts_every_request_of_its_time_in_its_jails() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(1 << 30);
    for n in 0..4500 {
        let Record::Requested(mut request) = requested(n, &mut Chance(1)) else { panic!() };
        request.jail = if n.is_multiple_of(3) { "ci" } else { "dev" }.to_owned();
        request.argv =
            Argv::new(if n.is_multiple_of(9) { &["/usr/bin/git", "push"] } else { &["ls"] });
        let said = if n.is_multiple_of(9) { "deny" } else { "allow" };
        ledger.append(&[Record::Requested(request), decided(n, said)]).unwrap();
    }
    let index = Index::of(&ledger);
    let now = crate::approvals::Now::read().ms;
    let count = |times, jails: &[&str]| {
        let jails: Vec<String> = jails.iter().map(|&jail| jail.to_owned()).collect();
        index.overview(&ledger, Stretch { times, jails: &jails })
    };
    assert!(count((now - 60_000, now), &[]).is_none(), "there is no index yet");
    index.keep(&ledger).unwrap();
    let all = count((now - 3_600_000, now), &[]).unwrap();
    assert_eq!((all.requests, all.complete, all.counted_from_ms), (4500, true, now - 3_600_000));
    let sum =
        |of: fn(&clawrden_api::OverviewStep) -> u64| all.decisions.iter().map(of).sum::<u64>();
    assert_eq!(
        (sum(|step| step.allow), sum(|step| step.deny), sum(|step| step.ask)),
        (4000, 500, 0)
    );
    let top: Vec<_> = all.top.iter().map(|top| (&*top.tool, top.times, top.denied)).collect();
    assert_eq!(top, [("ls", 4000, 0), ("git", 500, 500)]);
    let denied: Vec<_> =
        all.denied.iter().map(|top| (&*top.argv[1], &*top.jail, top.times)).collect();
    assert_eq!(denied, [("push", "ci", 500)]);
    let ci = count((now - 3_600_000, now), &["ci"]).unwrap();
    assert_eq!((ci.requests, ci.complete, ci.counted_from_ms), (1500, true, now - 3_600_000));
    let denied: Vec<_> = ci.denied.iter().map(|top| (&*top.argv[1], top.times)).collect();
    assert_eq!(denied, [("push", 500)]);
    assert_eq!(count((now - 3_600_000, now), &["ci", "dev"]).unwrap().requests, 4500);
    assert_eq!(count((now - 3_600_000, now), &["nowhere"]).unwrap().requests, 0);
    assert_eq!(count((0, now - 3_600_000), &[]).unwrap().requests, 0);
}

#[test]
fn approvals_of_the_same_command_are_counted() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(1 << 30);
    let ask = |n: u64, jail: &str, argv: &[&str]| {
        let Record::Requested(mut request) = requested(n, &mut Chance(1)) else { panic!() };
        request.jail = jail.to_owned();
        request.argv = Argv::new(argv);
        ledger.append(&[Record::Requested(request), decided(n, "ask")]).unwrap();
    };
    for n in 0..4500 {
        ask(n, "dev", if n.is_multiple_of(3) { &["git", "push"] } else { &["git", "push", "-f"] });
        if n.is_multiple_of(9) {
            ledger.append(&[Record::Approved(answered(n, "fine"))]).unwrap();
        }
    }
    ask(4500, "ci", &["git", "push"]);
    ledger.append(&[Record::Approved(answered(4500, "fine"))]).unwrap();
    let index = Index::of(&ledger);
    let argv = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(index.approvals("dev", &argv("git push"), 10_000), None);
    index.keep(&ledger).unwrap();
    let count = |jail, text| index.approvals(jail, &argv(text), 10_000);
    assert_eq!(count("dev", "git push"), Some(500));
    assert_eq!(count("dev", "git push -f"), Some(0));
    assert_eq!(count("ci", "git push"), Some(1));
    assert_eq!(count("dev", "git pull"), Some(0));
    // Whoever writes to it may take long.
    let written = index.store();
    assert_eq!(count("dev", "git push"), None);
    drop(written);
    assert_eq!(count("dev", "git push"), Some(500));
}
