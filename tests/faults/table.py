"""The faults icapd is to survive, and where each is injected and its outcome asserted. See docs/faults.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its number in docs/faults.md, what it is, and its tests as FILE::FUNCTION below tests/."""

    number: int
    what: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        1,
        "clamd killed in the middle of a scan",
        (
            "adapters/test_clamd_faults.py::test_killed_while_it_scans_then_started_again",
            "adapters/test_clamd_faults.py::test_restarted_between_two_scans_nobody_notices",
            "faults/test_scanners.py::test_a_clamd_that_goes_away_and_comes_back",
        ),
    ),
    Fault(
        2,
        "clamd hangs",
        (
            "adapters/test_clamd_faults.py::test_stopped_then_continued",
            "faults/test_scanners.py::test_a_clamd_that_goes_away_and_comes_back",
        ),
    ),
    Fault(3, "clamd saturated", ("adapters/test_clamd_faults.py::test_saturated",)),
    Fault(4, "over clamd's StreamMaxLength", ("adapters/test_clamd.py::test_over_its_stream_limit",)),
    Fault(
        5,
        "reload under load",
        (
            "server/test_reload.py::test_a_hundred_reloads_under_load_cost_no_request",
            "server/test_workers_reload.py::test_reloads_under_load_are_unnoticed_and_of_one_moment",
        ),
    ),
    Fault(
        6,
        "broken policy or configuration",
        (
            "faults/test_broken.py::test_broken_policies_under_load",
            "cli/test_serve.py::test_bad_input_is_one_line_each",
        ),
    ),
    Fault(
        7,
        "SIGTERM with scans under way",
        (
            "faults/test_drain.py::test_slow_scans_are_waited_for",
            "server/test_run.py::test_a_second_sigterm_ends_at_once",
            "server/test_run.py::test_the_drain_has_a_limit",
        ),
    ),
    Fault(
        8,
        "a worker killed",
        (
            "server/test_workers_deaths.py::test_deaths_under_load",
            "server/test_workers_deaths.py::test_a_crash_loop_is_slowed_down_and_the_others_go_on",
            "server/test_spool.py::test_what_a_killed_process_left_is_swept",
        ),
    ),
    Fault(
        9,
        "slow clients",
        (
            "faults/test_connections.py::test_clients_that_send_a_byte_at_a_time",
            "server/test_run.py::test_a_head_and_a_body_that_stall_are_ended",
            "server/test_sending.py::test_a_reader_that_stops_is_cut_and_never_sees_an_end",
        ),
    ),
    Fault(
        10,
        "clients that leave",
        (
            "server/test_run.py::test_a_client_that_leaves_at_any_state_leaves_nothing_behind",
            "server/test_connection.py::test_an_abort_at_any_byte_leaves_nothing_behind",
            "server/test_transfer.py::test_a_scan_is_waited_for_and_ends_when_the_client_is_gone",
        ),
    ),
    Fault(
        11,
        "thousands of idle connections",
        (
            "faults/test_connections.py::test_idle_connections_cost_little_and_end_in_order",
            "server/test_connection.py::test_an_idle_connection_is_closed_by_fin_without_a_word",
        ),
    ),
    Fault(
        12,
        "no descriptors left",
        ("faults/test_connections.py::test_without_descriptors_it_neither_spins_nor_dies",),
    ),
    Fault(
        13,
        "the spool's disk is full",
        (
            "faults/test_disk.py::test_bodies_that_the_disk_cannot_hold_follow_the_policy",
            "server/test_transfer.py::test_what_finds_no_room_waits_then_follows_the_policy",
        ),
    ),
    Fault(
        14,
        "the decision log's disk is full",
        (
            "faults/test_disk.py::test_lines_that_the_disk_cannot_hold_are_counted",
            "faults/test_disk.py::test_lines_that_nobody_takes_from_a_worker_are_counted",
            "events/test_log.py::test_a_real_disk_that_is_full_for_a_while",
            "server/test_run.py::test_a_pipe_that_nobody_reads_does_not_stop_answers",
        ),
    ),
    Fault(
        15,
        "more bodies than memory",
        (
            "server/test_budget.py::test_200_of_20_mb_at_once",
            "server/test_budget.py::test_what_the_disk_can_hold_passes",
        ),
    ),
    Fault(
        16,
        "a store that workers or hosts share is gone",  # there is no Redis: workers share memory
        (
            "server/test_shared_tunnels.py::test_a_writer_that_is_killed_at_any_moment_leaves_whole_records_and_no_lock",
            "server/test_workers_shared.py::test_a_tunnel_is_known_to_all_workers_and_outlives_the_one_that_opened_it",
            "directory/test_ldap.py::test_a_server_that_goes_away_and_comes_back",
            "directory/test_ldap.py::test_a_server_that_accepts_and_says_nothing",
        ),
    ),
    Fault(
        17,
        "the clock jumps",
        (
            "faults/test_clock.py::test_deadlines_do_not_follow_it",
            "faults/test_clock.py::test_schedules_follow_it_there_and_back",
            "faults/test_clock.py::test_a_ticket_ends_at_a_jump_and_does_not_revive",
            "policy/test_schedule.py::test_hours",
        ),
    ),
    Fault(
        18,
        "the decision log is rotated",
        (
            "server/test_rotation.py::test_renames_under_load_lose_nothing",
            "server/test_rotation.py::test_copies_and_cuts_under_load_lose_nothing",
        ),
    ),
    Fault(
        19,
        "icapd is down under Squid",
        ("e2e/test_failure.py::test_a_killed_icapd_fails_closed_and_recovers",),
    ),
    Fault(
        20,
        "a scanner's child process crashes or loops",
        (
            "adapters/test_children.py::test_a_body_under_way_when_its_child_dies_is_unscannable_and_not_tried_a_third_time",
            "adapters/test_children.py::test_a_child_that_stands_still_is_killed_in_time",
            "faults/test_scanners.py::test_children_that_are_killed_under_load",
        ),
    ),
    Fault(
        21,
        "a feed is bad",
        (
            "faults/test_broken.py::test_a_feed_that_is_bad",
            "lists/test_shrunk.py::test_a_big_list_that_is_empty_now_is_refused",
        ),
    ),
    Fault(
        22,
        "the power fails during a write",
        (
            "faults/test_power.py::test_squids_fragment_is_the_old_or_the_new",
            "faults/test_power.py::test_an_index_of_lists_is_whole_or_built_again",
            "faults/test_power.py::test_a_ca_is_whole_or_not_there",
        ),
    ),
    Fault(
        23,
        "the event store's disk is full",
        (
            "faults/test_store.py::test_a_full_disk_stops_no_verdict_and_the_store_goes_on_where_it_was",
            "faults/test_store.py::test_log_and_store_on_one_full_disk_end_equal",
        ),
    ),
    Fault(
        24,
        "the collector dies",
        (
            "server/test_collecting.py::test_each_record_is_stored_once_however_often_the_collector_is_killed",
            "server/test_collecting.py::test_another_starts_when_it_is_killed_under_load",
            "server/test_collecting.py::test_it_outlives_its_parent_until_it_has_read_all",
        ),
    ),
    Fault(
        25,
        "the event store is removed, or broken",
        (
            "faults/test_store.py::test_a_store_that_is_lost_while_it_runs_is_made_anew_of_what_the_log_holds",
            "events/test_storing.py::test_a_broken_store_is_moved_aside_and_made_anew",
            "events/test_storing.py::test_a_store_of_a_newer_icapd_is_left_alone",
        ),
    ),
    Fault(
        26,
        "a receiver of syslog is down, stands still, resets or dies",
        (
            "events/test_syslog.py::test_a_receiver_that_is_down_misses_nothing",
            "events/test_syslog.py::test_a_receiver_that_stands_still_delays_nobody_else",
            "events/test_syslog.py::test_after_a_reset_sending_begins_where_all_is_sure_to_have_arrived",
            "events/test_syslog.py::test_a_receiver_that_dies_under_load_misses_nothing",
            "events/test_syslog.py::test_icapd_sends_what_it_logs_though_its_collector_is_killed",
        ),
    ),
)
