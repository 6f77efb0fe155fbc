//! Steps of the life cycle.

use std::time::Duration;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn running() -> State {
    State::Running { pid: 7, started: at(1), before: Ended::default() }
}

fn exited_action(then: Afterwards) -> Action {
    Action::Exited { code: 3, oom: true, at: at(9), then }
}

#[test]
fn a_first_run_goes_from_created_to_exited() {
    let created = State::Created(Ended::default());
    let (state, effects) = step(&created, Action::Start).unwrap();
    assert_eq!((&state, effects), (&created, vec![Effect::Launch]));
    let (state, effects) = step(&state, Action::Started { pid: 7, at: at(1) }).unwrap();
    assert_eq!(state, running());
    assert_eq!(effects, [Effect::Tell(Told::Start), Effect::ProbeHealth]);
    let (state, effects) = step(&state, exited_action(Afterwards::Stay)).unwrap();
    assert_eq!(state.status(), Status::Exited);
    assert_eq!(state.ended().code, 3);
    assert!(state.ended().oom);
    assert_eq!(state.started(), Some(at(1)));
    assert!(effects.contains(&Effect::Release));
}

#[test]
fn a_failed_first_start_leaves_created_with_the_reason() {
    let failed = Action::StartFailed {
        code: 127,
        error: "no such file".into(),
        then: Afterwards::Restart(Duration::from_millis(100)),
    };
    let (state, effects) = step(&State::Created(Ended::default()), failed).unwrap();
    assert_eq!(state.status(), Status::Created);
    assert_eq!(state.ended().code, 127);
    assert!(effects.is_empty());
}

#[test]
fn restarting_waits_and_can_be_given_up() {
    let then = Afterwards::Restart(Duration::from_millis(100));
    let (state, effects) = step(&running(), exited_action(then)).unwrap();
    assert_eq!(state.status(), Status::Restarting);
    assert!(effects.contains(&Effect::Wake(Duration::from_millis(100))));
    assert_eq!(step(&state, Action::Remove), Err(Refusal::RunsStill(Status::Restarting)));
    let (state, effects) = step(&state, Action::GiveUp).unwrap();
    assert_eq!(state.status(), Status::Exited);
    assert_eq!(effects, [Effect::CancelWake]);
}

#[test]
fn what_runs_is_not_removed_and_what_is_removed_is_not_started() {
    assert_eq!(step(&running(), Action::Remove), Err(Refusal::RunsStill(Status::Running)));
    let (removing, _) = step(&State::Exited(Ended::default()), Action::Remove).unwrap();
    assert_eq!(step(&removing, Action::Remove), Err(Refusal::RemovalInProgress));
    assert_eq!(step(&removing, Action::Start), Err(Refusal::MarkedForRemoval));
    let error = "busy".to_owned();
    let (dead, _) = step(&removing, Action::RemoveFailed { error }).unwrap();
    assert_eq!(dead.status(), Status::Dead);
    assert!(step(&dead, Action::Remove).is_ok());
}

#[test]
fn late_exits_change_nothing() {
    for state in [State::Created(Ended::default()), State::Exited(Ended::default()), State::Removing(Ended::default())]
    {
        assert_eq!(step(&state, exited_action(Afterwards::Stay)), Err(Refusal::Stale));
    }
}

#[test]
fn pause_and_unpause_only_where_they_make_sense() {
    let (paused, effects) = step(&running(), Action::Pause(Hold::User)).unwrap();
    assert_eq!(effects[0], Effect::Freeze);
    assert_eq!(step(&paused, Action::Pause(Hold::User)), Err(Refusal::AlreadyPaused));
    assert_eq!(step(&paused, Action::Start), Err(Refusal::StartPaused));
    let (state, _) = step(&paused, Action::Unpause).unwrap();
    assert_eq!(state, running());
    assert_eq!(step(&state, Action::Unpause), Err(Refusal::NotPaused));
}

#[test]
fn who_paused_is_kept() {
    for held in [Hold::User, Hold::Commit] {
        let (paused, _) = step(&running(), Action::Pause(held)).unwrap();
        let text = serde_json::to_string(&paused).unwrap();
        let read: State = serde_json::from_str(&text).unwrap();
        assert!(matches!(read, State::Paused { held: read, .. } if read == held), "{text}");
    }
}
