/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/oauth/grants.h - a key, its certificate, and grants that use them. The key is that of RFC 7515
 * appendix A.2, so it protects nothing.
 */
#pragma once

#include "oauth/grant.h"
#include "test.h"

#include <jansson.h>
#include <stdlib.h>

#define TEST_RSA_KEY                                                                               \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n"                           \
    "jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n"                           \
    "aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n"                           \
    "juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n"                           \
    "ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n"                           \
    "toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n"                           \
    "VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n"                           \
    "PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n"                           \
    "O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n"                           \
    "kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n"                           \
    "XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n"                           \
    "4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n"                           \
    "pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n"                           \
    "0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n"                           \
    "lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n"                           \
    "kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n"                           \
    "rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n"                           \
    "kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n"                           \
    "5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n"                           \
    "9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n"                           \
    "evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n"                           \
    "yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n"                           \
    "OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n"                           \
    "tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n"                           \
    "ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n"                           \
    "03k2+ZQwVK0JKSHuLFkuQ3U=\n"                                                                   \
    "-----END PRIVATE KEY-----\n"

#define TEST_RSA_CERTIFICATE                                                                       \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIICqzCCAZOgAwIBAgIBATANBgkqhkiG9w0BAQsFADAYMRYwFAYDVQQDDA1ob2xk\n"                           \
    "ZmFzdCB0ZXN0MCAXDTI2MDEwMTAwMDAwMFoYDzIxMjYwMTAxMDAwMDAwWjAYMRYw\n"                           \
    "FAYDVQQDDA1ob2xkZmFzdCB0ZXN0MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIB\n"                           \
    "CgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPd\n"                           \
    "dxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/\n"                           \
    "YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5re\n"                           \
    "xMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qC\n"                           \
    "o5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkM\n"                           \
    "Ls91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQABMA0GCSqGSIb3DQEBCwUAA4IBAQAU\n"                           \
    "+Q6XLJ5aD8AWz7X8QLfENGzQsMSzjySkG6NLw+9p1pPRux+D199j/d3jW/Kdvb2V\n"                           \
    "6HiU/CKuWH8a0ikTBJvJdlr0omMLv6s5CkNet6CrbZn8rVM3nKNeJRbHAbiGKDl7\n"                           \
    "fp8zapN5F367QhSqRvSolHb+5f28nZC3LxDjIxvDaMcTR77egGaFs4PN+yePsXol\n"                           \
    "aOLxO0kX/lA/dVk9sJ3w2r65W52KMJPMAUeENYPtHjQPAoX1Tomz0CyzGEpTzB2+\n"                           \
    "g58pimPpfR1AwFV6+v0N9VGUgp+BA5bU9Eaon0Zjv56jZvD29c2OL9ChlkftUx7l\n"                           \
    "v1eXwZr46Q44iTkCZjO0\n"                                                                       \
    "-----END CERTIFICATE-----\n"

#define TEST_UNUSED __attribute__((unused))

/* Reads the grant that json makes (jansson's json_pack; taken); NULL: it was refused, *err says why. */
TEST_UNUSED static struct oauth_grant *read_grant(json_t *json, struct err *err)
{
    struct oauth_grant *grant = NULL;
    char *text = json_dumps(json, JSON_COMPACT);

    CHECK(json != NULL && text != NULL);
    *err = (struct err){ 0 };
    (void)!oauth_read_grant(bytes_of_text(text), &grant, err);
    free(text);
    json_decref(json);
    return grant;
}

TEST_UNUSED static struct oauth_grant *must_read_grant(json_t *json)
{
    struct err err;
    struct oauth_grant *grant = read_grant(json, &err);

    if (grant == NULL)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return grant;
}

TEST_UNUSED static json_t *client_credentials(void)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "grant", "client-credentials", "token_url",
                     "https://login.example/token", "client_id", "c1", "client_secret", "hush");
}

TEST_UNUSED static json_t *with(json_t *json, const char *name, const char *value)
{
    CHECK(json_object_set_new(json, name, json_string(value)) == 0);
    return json;
}

TEST_UNUSED static json_t *without(json_t *json, const char *name)
{
    CHECK(json_object_del(json, name) == 0);
    return json;
}

TEST_UNUSED static json_t *service_account(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "grant", "service-account", "token_url",
                     "https://oauth2.example/token", "issuer", "sa@project.example", "private_key",
                     TEST_RSA_KEY, "scope", "https://mail.example/");
}
