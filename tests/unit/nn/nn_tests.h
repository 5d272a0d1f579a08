/* Tests of lib/nn, and the random numbers that they share. */
#ifndef NN_TESTS_H
#define NN_TESTS_H

#include <stddef.h>
#include <stdint.h>

/** xorshift: the same numbers everywhere for one seed, which test_nn prints. */
uint64_t random_bits(void);
/** low..high, both included. */
size_t random_between(size_t low, size_t high);
/** Owned, free(): exactly count floats in -1..1, so that a sanitizer sees one that is read too many. */
float *random_floats(size_t count);

void both_engines_agree_with_the_definition(void);
void engines_agree_on_every_shape_of_the_network(void);
void kernels_agree_on_every_layer_of_both_networks(void);
void kernels_agree_on_any_shape(void);
void winograd_agrees_on_any_side(void);
void strassen_agrees_on_any_shape(void);
void strassens_bits_do_not_depend_on_other_images(void);
void each_layer_goes_to_the_kernel_of_least_work(void);
void a_pixels_bits_do_not_depend_on_its_tile(void);
void every_instruction_set_makes_the_same_bits(void);
void largest_keeps_every_nan(void);
void finish_agrees_on_any_shape(void);
void openblas_computes_in_the_calling_thread_alone(void);
void parts_cover_the_output_once(void);
void bytes_behind_the_output_are_left_alone(void);
void max_pool_sees_only_pixels_that_exist(void);
void a_nan_survives_max_pool(void);
void global_average_is_the_mean(void);
void softmax_survives_large_scores(void);
void softmax_of_a_nan_is_nan(void);
void topk_orders_ties_by_class_and_nan_last(void);
void topk_writes_no_more_than_there_is(void);
void a_plan_knows_every_shape(void);
void living_values_never_share_a_slot(void);
void layers_that_do_not_fit_are_refused(void);
void any_number_of_threads_makes_the_same_bits(void);
void passes_side_by_side_do_not_meet(void);
void neighbours_do_not_change_an_answer(void);
void engines_give_one_answer(void);
void a_run_allocates_nothing(void);
void the_callers_floating_point_mode_comes_back(void);
void denormals_are_flushed(void);
void an_unknown_engine_is_refused_with_the_choices(void);
void create_survives_every_failed_allocation(void);
void every_instruction_set_transforms_weights_alike(void);
void weights_that_are_read_make_the_same_bits(void);
void passes_share_what_they_both_need(void);
void weights_in_memory_are_not_copied(void);
void a_layer_that_cannot_be_read_fails_the_pass(void);
void packing_survives_every_failed_allocation(void);
void the_hosts_rounding_does_not_reach_the_weights(void);
void layer_times_add_up_to_the_run(void);
void a_profile_that_ends_writes_no_more(void);
void layers_tell_their_work(void);
void every_register_of_a_peak_loop_does_its_work(void);
void a_peak_names_what_it_measured(void);
void an_unknown_instruction_set_is_refused_with_the_choices(void);
void bf16_kernels_agree_on_every_layer_of_both_networks(void);
void bf16_kernels_agree_on_any_shape(void);
void bf16_winograd_agrees_on_any_side(void);
void a_bf16_pixels_bits_do_not_depend_on_its_tile(void);
void bf16_is_rounded_to_nearest_even(void);
void bf16_max_pool_sees_only_pixels_that_exist(void);
void max_pool_of_two_terms_keeps_both(void);
void the_check_of_a_set_sees_a_fault(void);
void tile_units_compute_high_and_medium(void);
void tile_units_that_fail_their_check_are_left_alone(void);
void medium_is_near_and_the_same_on_any_number_of_threads(void);
void what_cannot_be_had_runs_as_highest(void);
void a_network_that_medium_cannot_compute_runs_as_highest(void);
void values_beside_floats_keep_their_type(void);
void medium_survives_every_failed_allocation(void);
void a_peak_survives_every_failed_allocation(void);

#endif
