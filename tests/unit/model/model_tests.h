/* Tests of lib/model that need no real weights. */
#ifndef MODEL_TESTS_H
#define MODEL_TESTS_H

#include <imgq/env.h>

/** The env of all tests, without limits; lives until the program ends. */
imgq_env *test_env(void);

void a_good_safetensors_file_is_read(void);
void a_broken_header_is_named(void);
void what_is_no_safetensors_file_is_named(void);
void a_path_that_is_no_file_is_named(void);
void metadata_tells_what_the_writer_knew(void);
void wrong_metadata_is_named(void);
void a_set_survives_every_failed_allocation(void);
void every_family_is_told_by_its_names(void);
void missing_foreign_and_misshaped_tensors_are_named(void);
void a_file_of_something_else_is_refused(void);
void both_orders_of_a_kernel_fold_alike(void);
void folding_is_the_definition(void);
void every_half_and_bfloat_widens_exactly(void);
void numbers_that_are_none_are_named(void);
void the_hash_knows_content_not_order(void);
void the_hash_is_the_documented_one(void);
void labels_come_from_text_and_json(void);
void wrong_labels_are_named(void);
void labels_must_fit_the_head(void);
void imagenets_labels_are_keras_own(void);
void a_profile_is_told_never_guessed(void);
void a_recipe_survives_its_writing(void);
void recipes_have_telling_names(void);
void timms_config_tells_the_preprocessing(void);
void hugging_faces_configs_tell_preprocessing_and_labels(void);
void preprocessing_that_is_not_done_here_is_refused(void);
void options_rule_over_the_file(void);
void wrong_options_are_named(void);
void a_model_survives_every_failed_allocation(void);
void a_session_outlives_its_model_and_env(void);
void a_session_checks_its_arguments(void);
void a_session_tells_its_layers_and_their_time(void);
void the_stride_sits_where_the_layout_says(void);

#endif
