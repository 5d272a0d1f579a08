#include "base_tests.h"

#include "support/check.h"

static const check_test tests[] = {
    CHECK_TEST(blocks_give_back_every_byte_in_any_order),
    CHECK_TEST(an_aligned_block_stays_aligned_and_resizes),
    CHECK_TEST(an_overflowing_count_is_no_memory),
    CHECK_TEST(the_env_lives_until_its_last_holder),
    CHECK_TEST(a_buffer_stops_at_its_maximum_and_stays_failed),
    CHECK_TEST(a_missing_file_and_a_large_one_say_so),
    CHECK_TEST(an_arena_holds_its_limit),
    CHECK_TEST(options_older_and_newer_than_the_library),
    CHECK_TEST(deadlines_saturate_and_pass),
    CHECK_TEST(every_status_has_its_row),
    CHECK_TEST(messages_are_cut_at_a_character),
    CHECK_TEST(json_reads_what_it_wrote),
    CHECK_TEST(json_refuses_what_is_none),
    CHECK_TEST(floats_are_written_shortest_and_without_locale),
    CHECK_TEST(numbers_are_parsed_whole),
    CHECK_TEST(a_log_line_has_the_reference_form),
    CHECK_TEST(a_log_line_in_json_is_one_object),
    CHECK_TEST(a_line_end_in_an_action_forges_nothing),
    CHECK_TEST(sha256_matches_its_published_vectors),
    CHECK_TEST(base64_round_trips_every_length),
    CHECK_TEST(base64_refuses_what_is_none),
    CHECK_TEST(ids_are_valid_unique_and_sort_by_time),
    CHECK_TEST(a_pool_runs_each_part_once),
    CHECK_TEST(short_jobs_after_each_other_do_not_meet),
    CHECK_TEST(a_pool_of_one_needs_no_thread),
    CHECK_TEST(granted_cores_follow_affinity),
    CHECK_TEST(granted_cores_follow_every_quota_above),
    CHECK_TEST(a_part_that_hangs_leaves_the_others_to_all),
};

CHECK_MAIN("base", tests)
