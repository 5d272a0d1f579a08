#include "nn_tests.h"

#include "support/check.h"
#include "support/random.h"

#include <stdio.h>
#include <stdlib.h>

static test_random choices = {88172645463325252u};

uint64_t random_bits(void)
{
    return random_next(&choices);
}

size_t random_between(size_t low, size_t high)
{
    return low + (size_t)(random_bits() >> 11) % (high - low + 1);
}

float *random_floats(size_t count)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)(random_bits() >> 11) * 0x1p-52 - 1.0);
    return values;
}

static const check_test tests[] = {
    CHECK_TEST(both_engines_agree_with_the_definition),
    CHECK_TEST(engines_agree_on_every_shape_of_the_network),
    CHECK_TEST(kernels_agree_on_every_layer_of_both_networks),
    CHECK_TEST(kernels_agree_on_any_shape),
    CHECK_TEST(winograd_agrees_on_any_side),
    CHECK_TEST(strassen_agrees_on_any_shape),
    CHECK_TEST(strassens_bits_do_not_depend_on_other_images),
    CHECK_TEST(each_layer_goes_to_the_kernel_of_least_work),
    CHECK_TEST(a_pixels_bits_do_not_depend_on_its_tile),
    CHECK_TEST(every_instruction_set_makes_the_same_bits),
    CHECK_TEST(largest_keeps_every_nan),
    CHECK_TEST(finish_agrees_on_any_shape),
    CHECK_TEST(openblas_computes_in_the_calling_thread_alone),
    CHECK_TEST(parts_cover_the_output_once),
    CHECK_TEST(bytes_behind_the_output_are_left_alone),
    CHECK_TEST(max_pool_sees_only_pixels_that_exist),
    CHECK_TEST(a_nan_survives_max_pool),
    CHECK_TEST(global_average_is_the_mean),
    CHECK_TEST(softmax_survives_large_scores),
    CHECK_TEST(softmax_of_a_nan_is_nan),
    CHECK_TEST(topk_orders_ties_by_class_and_nan_last),
    CHECK_TEST(topk_writes_no_more_than_there_is),
    CHECK_TEST(a_plan_knows_every_shape),
    CHECK_TEST(living_values_never_share_a_slot),
    CHECK_TEST(layers_that_do_not_fit_are_refused),
    CHECK_TEST(any_number_of_threads_makes_the_same_bits),
    CHECK_TEST(passes_side_by_side_do_not_meet),
    CHECK_TEST(neighbours_do_not_change_an_answer),
    CHECK_TEST(engines_give_one_answer),
    CHECK_TEST(a_run_allocates_nothing),
    CHECK_TEST(the_callers_floating_point_mode_comes_back),
    CHECK_TEST(denormals_are_flushed),
    CHECK_TEST(an_unknown_engine_is_refused_with_the_choices),
    CHECK_TEST(create_survives_every_failed_allocation),
    CHECK_TEST(every_instruction_set_transforms_weights_alike),
    CHECK_TEST(weights_that_are_read_make_the_same_bits),
    CHECK_TEST(passes_share_what_they_both_need),
    CHECK_TEST(weights_in_memory_are_not_copied),
    CHECK_TEST(a_layer_that_cannot_be_read_fails_the_pass),
    CHECK_TEST(packing_survives_every_failed_allocation),
    CHECK_TEST(the_hosts_rounding_does_not_reach_the_weights),
    CHECK_TEST(layer_times_add_up_to_the_run),
    CHECK_TEST(a_profile_that_ends_writes_no_more),
    CHECK_TEST(layers_tell_their_work),
    CHECK_TEST(every_register_of_a_peak_loop_does_its_work),
    CHECK_TEST(a_peak_names_what_it_measured),
    CHECK_TEST(an_unknown_instruction_set_is_refused_with_the_choices),
    CHECK_TEST(bf16_kernels_agree_on_every_layer_of_both_networks),
    CHECK_TEST(bf16_kernels_agree_on_any_shape),
    CHECK_TEST(bf16_winograd_agrees_on_any_side),
    CHECK_TEST(a_bf16_pixels_bits_do_not_depend_on_its_tile),
    CHECK_TEST(bf16_is_rounded_to_nearest_even),
    CHECK_TEST(bf16_max_pool_sees_only_pixels_that_exist),
    CHECK_TEST(max_pool_of_two_terms_keeps_both),
    CHECK_TEST(the_check_of_a_set_sees_a_fault),
    CHECK_TEST(tile_units_compute_high_and_medium),
    CHECK_TEST(tile_units_that_fail_their_check_are_left_alone),
    CHECK_TEST(medium_is_near_and_the_same_on_any_number_of_threads),
    CHECK_TEST(what_cannot_be_had_runs_as_highest),
    CHECK_TEST(a_network_that_medium_cannot_compute_runs_as_highest),
    CHECK_TEST(values_beside_floats_keep_their_type),
    CHECK_TEST(medium_survives_every_failed_allocation),
    CHECK_TEST(a_peak_survives_every_failed_allocation),
};

int main(int argc, char **argv)
{
    if (getenv("IMGQ_SEED") != NULL)
        choices = random_seeded("nn");
    else
        printf("nn: the same choices each time; IMGQ_SEED=n for others\n");
    return check_main(argc, argv, "nn", tests, sizeof tests / sizeof *tests);
}
