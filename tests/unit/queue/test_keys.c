#include "queue/keys.h"

#include "support/check.h"

#include <string.h>

static void every_key_of_a_queue_lies_in_one_slot(void)
{
    imgq_error err;
    iq_keys keys;
    const uint8_t rid[IQ_RID_SIZE] = {1, 0, 255, '}', 5, 6, 7, 8};
    if (!CHECK_OK(iq_keys_of_queue(&keys, "photos-2.x_y", 0, &err)))
        return;
    CHECK_EQ_STR("iq:{photos-2.x_y.0}:m", iq_key_meta(&keys).text);
    CHECK_EQ_STR("iq:{photos-2.x_y.0}:0", iq_key_slot(&keys).text);
    CHECK_EQ_STR("iq:{photos-2.x_y.0}:jholiday:1", iq_key_job(&keys, "holiday:1").text);
    CHECK_EQ_STR("iq:{photos-2.x_y.0}:wk", iq_key_wake(&keys).text);
    CHECK_EQ_STR("iq:{photos-2.x_y.0}:in", iq_key_import(&keys).text);
    const iq_key inbox = iq_key_inbox(&keys, rid), session = iq_key_session(&keys, rid);
    CHECK_EQ_SIZE(strlen("iq:{photos-2.x_y.0}:r:") + sizeof rid, inbox.len);
    CHECK_EQ_MEM("iq:{photos-2.x_y.0}:r:\1\0\377}\5\6\7\10", inbox.text, inbox.len);
    CHECK_EQ_MEM("iq:{photos-2.x_y.0}:s:\1\0\377}\5\6\7\10", session.text, session.len);
    CHECK_OK(iq_keys_of_queue(&keys, "q", 12, &err));
    CHECK_EQ_STR("iq:{q.12}:m", iq_key_meta(&keys).text);
}

static void an_importing_queue_lies_in_the_slot_of_its_list(void)
{
    imgq_error err;
    iq_keys keys;
    if (CHECK_OK(iq_keys_of_list(&keys, "image_queue", &err)))
        CHECK_EQ_STR("iq:{image_queue}:m", iq_key_meta(&keys).text);
    CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_list(&keys, "", &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_list(&keys, "a{b}", &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_list(&keys, "a b", &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_list(&keys, "a\nb", &err));
}

static void the_longest_names_fit_and_longer_ones_are_refused(void)
{
    imgq_error err;
    iq_keys keys;
    char name[IQ_LIST_NAME_MAX + 2], id[65];
    memset(id, 'i', 64);
    id[64] = '\0';
    memset(name, 'n', sizeof name);
    name[IQ_QUEUE_NAME_MAX] = '\0';
    CHECK_OK(iq_keys_of_queue(&keys, name, 99, &err));
    CHECK_EQ_SIZE(4 + 64 + 3 + 2 + 1 + 64, iq_key_job(&keys, id).len);
    CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_queue(&keys, name, 100, &err));
    name[IQ_QUEUE_NAME_MAX] = 'n';
    name[IQ_QUEUE_NAME_MAX + 1] = '\0';
    CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_queue(&keys, name, 0, &err));
    name[IQ_QUEUE_NAME_MAX + 1] = 'n';
    name[IQ_LIST_NAME_MAX] = '\0';
    CHECK_OK(iq_keys_of_list(&keys, name, &err));
    CHECK_EQ_SIZE(4 + 128 + 2 + 1 + 64, iq_key_job(&keys, id).len);
    name[IQ_LIST_NAME_MAX] = 'n';
    name[IQ_LIST_NAME_MAX + 1] = '\0';
    CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_list(&keys, name, &err));
}

static void names_that_would_break_a_key_are_refused(void)
{
    static const char *const bad[] = {"", "a:b", "a{b", "a}b", "a b", "\xc3\xbc", "a/b"};
    iq_keys keys;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        imgq_error err;
        if (CHECK_STATUS(IMGQ_E_INVALID, iq_keys_of_queue(&keys, bad[i], 0, &err)))
            CHECK_CONTAINS(bad[i], err.message);
    }
}

static const check_test tests[] = {
    CHECK_TEST(every_key_of_a_queue_lies_in_one_slot),
    CHECK_TEST(an_importing_queue_lies_in_the_slot_of_its_list),
    CHECK_TEST(the_longest_names_fit_and_longer_ones_are_refused),
    CHECK_TEST(names_that_would_break_a_key_are_refused),
};
CHECK_MAIN("keys", tests)
