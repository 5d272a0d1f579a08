#include "queue/follow.h"

#include "queue/result.h"
#include "support/check.h"
#include "support/failing_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static imgq_id id_of(size_t number)
{
    imgq_id id = {{0}};
    snprintf(id.text, sizeof id.text, "id-%zu", number);
    return id;
}

static iq_follow *find(const iq_follows *follows, size_t number)
{
    const imgq_id id = id_of(number);
    return iq_follows_find(follows, id.text, strlen(id.text));
}

static void what_is_followed_is_found_by_its_whole_id(void)
{
    iq_follows follows = {.env = failing_env(0), .seed = 7};
    const imgq_id id = id_of(12);
    CHECK(iq_follows_find(&follows, "id-12", 5) == NULL);
    iq_follow *follow = iq_follows_add(&follows, &id);
    if (CHECK(follow != NULL)) {
        CHECK(iq_follows_add(&follows, &id) == follow);
        CHECK(iq_follows_find(&follows, "id-12", 5) == follow);
        CHECK(iq_follows_find(&follows, "id-1", 4) == NULL);
        CHECK(iq_follows_find(&follows, "id-123", 6) == NULL);
        CHECK_EQ_SIZE(1, follows.count);
    }
    imgq_env *env = follows.env;
    iq_follows_release(&follows);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static void the_longest_unheard_comes_first_and_the_hurried_before_all(void)
{
    iq_follows follows = {.env = failing_env(0)};
    imgq_env *env = follows.env;
    for (size_t i = 0; i < 4; i++) {
        const imgq_id id = id_of(i);
        iq_follow *follow = iq_follows_add(&follows, &id);
        follow->heard_ns = (int64_t)i + 1;
        iq_follows_move(&follows, follow, IQ_FOLLOW_YOUNG);
    }
    CHECK_EQ_SIZE(4, follows.asked);
    CHECK(follows.first[IQ_FOLLOW_YOUNG] == find(&follows, 0));
    iq_follows_move(&follows, find(&follows, 0), IQ_FOLLOW_YOUNG); /* heard of again */
    CHECK(follows.first[IQ_FOLLOW_YOUNG] == find(&follows, 1));
    CHECK(follows.last[IQ_FOLLOW_YOUNG] == find(&follows, 0));
    iq_follows_hurry(&follows, find(&follows, 2));
    CHECK(follows.first[IQ_FOLLOW_YOUNG] == find(&follows, 2));
    CHECK_EQ_INT(0, find(&follows, 2)->heard_ns);
    iq_follows_move(&follows, find(&follows, 2), IQ_FOLLOW_READY);
    CHECK_EQ_SIZE(3, follows.asked);
    CHECK(follows.first[IQ_FOLLOW_YOUNG] == find(&follows, 1));
    iq_follows_release(&follows);
    imgq_env_destroy(env);
}

/* Every walk of every list meets what a plain table says, in whatever order things happen. */
static void lists_and_table_agree_after_any_order_of_steps(void)
{
    enum { IDS = 300, STEPS = 20000 };
    static int where[IDS]; /* -1: not followed; else the list */
    iq_follows follows = {.env = failing_env(0), .seed = 99};
    imgq_env *env = follows.env;
    unsigned seed = 20260131;
    fprintf(stderr, "# seed %u\n", seed);
    for (size_t i = 0; i < IDS; i++)
        where[i] = -1;
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1103515245u + 12345u;
        const size_t number = seed / 65536u % IDS;
        const unsigned what = seed / 7u % 6u;
        const imgq_id id = id_of(number);
        iq_follow *follow = find(&follows, number);
        CHECK((follow != NULL) == (where[number] >= 0));
        if (follow == NULL) {
            follow = iq_follows_add(&follows, &id);
            where[number] = IQ_FOLLOW_NONE;
        } else if (what == 0) {
            iq_follows_remove(&follows, follow);
            where[number] = -1;
        } else if (what == 1) {
            iq_follows_hurry(&follows, follow);
            where[number] = IQ_FOLLOW_YOUNG;
        } else {
            where[number] = (int)(what - 2u);
            iq_follows_move(&follows, follow, (iq_follow_list)(what - 2u));
        }
    }
    size_t followed = 0, asked = 0;
    for (size_t i = 0; i < IDS; i++) {
        followed += where[i] >= 0;
        asked += where[i] == IQ_FOLLOW_YOUNG || where[i] == IQ_FOLLOW_OLD;
    }
    CHECK_EQ_SIZE(followed, follows.count);
    CHECK_EQ_SIZE(asked, follows.asked);
    for (int list = IQ_FOLLOW_YOUNG; list < IQ_FOLLOW_LISTS; list++) {
        const iq_follow *before = NULL;
        for (const iq_follow *follow = follows.first[list]; follow != NULL; before = follow, follow = follow->next) {
            CHECK(follow->prev == before);
            CHECK_EQ_INT(list, where[strtoul(follow->id.text + 3, NULL, 10)]);
        }
        CHECK(follows.last[list] == before);
    }
    iq_follows_release(&follows);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static void removing_frees_the_result_and_the_kept_copy(void)
{
    imgq_error err;
    iq_follows follows = {.env = failing_env(0)};
    imgq_env *env = follows.env;
    const imgq_id id = id_of(1);
    const iq_submission submission = {
        .payload = "picture", .payload_len = 7, .tlv = (const uint8_t *)"t", .tlv_len = 1};
    iq_follow *follow = iq_follows_add(&follows, &id);
    CHECK_OK(iq_result_of_failure(env, id.text, IMGQ_E_LOST, "gone", &follow->result, &err));
    follow->kept = iq_submission_copy(env, &submission);
    if (CHECK(follow->kept != NULL)) {
        CHECK_EQ_MEM("picture", follow->kept->payload, 7);
        CHECK_EQ_MEM("t", follow->kept->tlv, 1);
    }
    iq_follows_remove(&follows, follow);
    CHECK_EQ_SIZE(0, follows.count);
    iq_follows_release(&follows);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static const check_test tests[] = {
    CHECK_TEST(what_is_followed_is_found_by_its_whole_id),
    CHECK_TEST(the_longest_unheard_comes_first_and_the_hurried_before_all),
    CHECK_TEST(lists_and_table_agree_after_any_order_of_steps),
    CHECK_TEST(removing_frees_the_result_and_the_kept_copy),
};
CHECK_MAIN("follow", tests)
