/* The files of this program, each a few tests; test_base.c has the table. */
#ifndef TEST_BASE_TESTS_H
#define TEST_BASE_TESTS_H

void blocks_give_back_every_byte_in_any_order(void);
void an_aligned_block_stays_aligned_and_resizes(void);
void an_overflowing_count_is_no_memory(void);
void the_env_lives_until_its_last_holder(void);
void a_buffer_stops_at_its_maximum_and_stays_failed(void);
void a_missing_file_and_a_large_one_say_so(void);
void an_arena_holds_its_limit(void);
void options_older_and_newer_than_the_library(void);
void deadlines_saturate_and_pass(void);
void every_status_has_its_row(void);
void messages_are_cut_at_a_character(void);

void json_reads_what_it_wrote(void);
void json_refuses_what_is_none(void);
void floats_are_written_shortest_and_without_locale(void);
void numbers_are_parsed_whole(void);

void a_log_line_has_the_reference_form(void);
void a_log_line_in_json_is_one_object(void);
void a_line_end_in_an_action_forges_nothing(void);

void sha256_matches_its_published_vectors(void);
void base64_round_trips_every_length(void);
void base64_refuses_what_is_none(void);
void ids_are_valid_unique_and_sort_by_time(void);

void a_pool_runs_each_part_once(void);
void short_jobs_after_each_other_do_not_meet(void);
void a_pool_of_one_needs_no_thread(void);
void granted_cores_follow_affinity(void);
void granted_cores_follow_every_quota_above(void);
void a_part_that_hangs_leaves_the_others_to_all(void);

#endif
