/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/entity.c - the character references of HTML 4.01 §24 and "apos", in order of their octets.
 */
#include "text/internal.h"

static const struct {
    struct bytes name;
    uint16_t character;
} entities[] = {
    // clang-format off
    { BYTES_INIT("AElig"), 0xc6 }, { BYTES_INIT("Aacute"), 0xc1 }, { BYTES_INIT("Acirc"), 0xc2 },
    { BYTES_INIT("Agrave"), 0xc0 }, { BYTES_INIT("Alpha"), 0x391 }, { BYTES_INIT("Aring"), 0xc5 },
    { BYTES_INIT("Atilde"), 0xc3 }, { BYTES_INIT("Auml"), 0xc4 }, { BYTES_INIT("Beta"), 0x392 },
    { BYTES_INIT("Ccedil"), 0xc7 }, { BYTES_INIT("Chi"), 0x3a7 }, { BYTES_INIT("Dagger"), 0x2021 },
    { BYTES_INIT("Delta"), 0x394 }, { BYTES_INIT("ETH"), 0xd0 }, { BYTES_INIT("Eacute"), 0xc9 },
    { BYTES_INIT("Ecirc"), 0xca }, { BYTES_INIT("Egrave"), 0xc8 },
    { BYTES_INIT("Epsilon"), 0x395 }, { BYTES_INIT("Eta"), 0x397 }, { BYTES_INIT("Euml"), 0xcb },
    { BYTES_INIT("Gamma"), 0x393 }, { BYTES_INIT("Iacute"), 0xcd }, { BYTES_INIT("Icirc"), 0xce },
    { BYTES_INIT("Igrave"), 0xcc }, { BYTES_INIT("Iota"), 0x399 }, { BYTES_INIT("Iuml"), 0xcf },
    { BYTES_INIT("Kappa"), 0x39a }, { BYTES_INIT("Lambda"), 0x39b }, { BYTES_INIT("Mu"), 0x39c },
    { BYTES_INIT("Ntilde"), 0xd1 }, { BYTES_INIT("Nu"), 0x39d }, { BYTES_INIT("OElig"), 0x152 },
    { BYTES_INIT("Oacute"), 0xd3 }, { BYTES_INIT("Ocirc"), 0xd4 }, { BYTES_INIT("Ograve"), 0xd2 },
    { BYTES_INIT("Omega"), 0x3a9 }, { BYTES_INIT("Omicron"), 0x39f },
    { BYTES_INIT("Oslash"), 0xd8 }, { BYTES_INIT("Otilde"), 0xd5 }, { BYTES_INIT("Ouml"), 0xd6 },
    { BYTES_INIT("Phi"), 0x3a6 }, { BYTES_INIT("Pi"), 0x3a0 }, { BYTES_INIT("Prime"), 0x2033 },
    { BYTES_INIT("Psi"), 0x3a8 }, { BYTES_INIT("Rho"), 0x3a1 }, { BYTES_INIT("Scaron"), 0x160 },
    { BYTES_INIT("Sigma"), 0x3a3 }, { BYTES_INIT("THORN"), 0xde }, { BYTES_INIT("Tau"), 0x3a4 },
    { BYTES_INIT("Theta"), 0x398 }, { BYTES_INIT("Uacute"), 0xda }, { BYTES_INIT("Ucirc"), 0xdb },
    { BYTES_INIT("Ugrave"), 0xd9 }, { BYTES_INIT("Upsilon"), 0x3a5 }, { BYTES_INIT("Uuml"), 0xdc },
    { BYTES_INIT("Xi"), 0x39e }, { BYTES_INIT("Yacute"), 0xdd }, { BYTES_INIT("Yuml"), 0x178 },
    { BYTES_INIT("Zeta"), 0x396 }, { BYTES_INIT("aacute"), 0xe1 }, { BYTES_INIT("acirc"), 0xe2 },
    { BYTES_INIT("acute"), 0xb4 }, { BYTES_INIT("aelig"), 0xe6 }, { BYTES_INIT("agrave"), 0xe0 },
    { BYTES_INIT("alefsym"), 0x2135 }, { BYTES_INIT("alpha"), 0x3b1 }, { BYTES_INIT("amp"), 0x26 },
    { BYTES_INIT("and"), 0x2227 }, { BYTES_INIT("ang"), 0x2220 }, { BYTES_INIT("apos"), 0x27 },
    { BYTES_INIT("aring"), 0xe5 }, { BYTES_INIT("asymp"), 0x2248 }, { BYTES_INIT("atilde"), 0xe3 },
    { BYTES_INIT("auml"), 0xe4 }, { BYTES_INIT("bdquo"), 0x201e }, { BYTES_INIT("beta"), 0x3b2 },
    { BYTES_INIT("brvbar"), 0xa6 }, { BYTES_INIT("bull"), 0x2022 }, { BYTES_INIT("cap"), 0x2229 },
    { BYTES_INIT("ccedil"), 0xe7 }, { BYTES_INIT("cedil"), 0xb8 }, { BYTES_INIT("cent"), 0xa2 },
    { BYTES_INIT("chi"), 0x3c7 }, { BYTES_INIT("circ"), 0x2c6 }, { BYTES_INIT("clubs"), 0x2663 },
    { BYTES_INIT("cong"), 0x2245 }, { BYTES_INIT("copy"), 0xa9 }, { BYTES_INIT("crarr"), 0x21b5 },
    { BYTES_INIT("cup"), 0x222a }, { BYTES_INIT("curren"), 0xa4 }, { BYTES_INIT("dArr"), 0x21d3 },
    { BYTES_INIT("dagger"), 0x2020 }, { BYTES_INIT("darr"), 0x2193 }, { BYTES_INIT("deg"), 0xb0 },
    { BYTES_INIT("delta"), 0x3b4 }, { BYTES_INIT("diams"), 0x2666 },
    { BYTES_INIT("divide"), 0xf7 }, { BYTES_INIT("eacute"), 0xe9 }, { BYTES_INIT("ecirc"), 0xea },
    { BYTES_INIT("egrave"), 0xe8 }, { BYTES_INIT("empty"), 0x2205 },
    { BYTES_INIT("emsp"), 0x2003 }, { BYTES_INIT("ensp"), 0x2002 },
    { BYTES_INIT("epsilon"), 0x3b5 }, { BYTES_INIT("equiv"), 0x2261 },
    { BYTES_INIT("eta"), 0x3b7 }, { BYTES_INIT("eth"), 0xf0 }, { BYTES_INIT("euml"), 0xeb },
    { BYTES_INIT("euro"), 0x20ac }, { BYTES_INIT("exist"), 0x2203 }, { BYTES_INIT("fnof"), 0x192 },
    { BYTES_INIT("forall"), 0x2200 }, { BYTES_INIT("frac12"), 0xbd },
    { BYTES_INIT("frac14"), 0xbc }, { BYTES_INIT("frac34"), 0xbe },
    { BYTES_INIT("frasl"), 0x2044 }, { BYTES_INIT("gamma"), 0x3b3 }, { BYTES_INIT("ge"), 0x2265 },
    { BYTES_INIT("gt"), 0x3e }, { BYTES_INIT("hArr"), 0x21d4 }, { BYTES_INIT("harr"), 0x2194 },
    { BYTES_INIT("hearts"), 0x2665 }, { BYTES_INIT("hellip"), 0x2026 },
    { BYTES_INIT("iacute"), 0xed }, { BYTES_INIT("icirc"), 0xee }, { BYTES_INIT("iexcl"), 0xa1 },
    { BYTES_INIT("igrave"), 0xec }, { BYTES_INIT("image"), 0x2111 },
    { BYTES_INIT("infin"), 0x221e }, { BYTES_INIT("int"), 0x222b }, { BYTES_INIT("iota"), 0x3b9 },
    { BYTES_INIT("iquest"), 0xbf }, { BYTES_INIT("isin"), 0x2208 }, { BYTES_INIT("iuml"), 0xef },
    { BYTES_INIT("kappa"), 0x3ba }, { BYTES_INIT("lArr"), 0x21d0 },
    { BYTES_INIT("lambda"), 0x3bb }, { BYTES_INIT("lang"), 0x2329 }, { BYTES_INIT("laquo"), 0xab },
    { BYTES_INIT("larr"), 0x2190 }, { BYTES_INIT("lceil"), 0x2308 },
    { BYTES_INIT("ldquo"), 0x201c }, { BYTES_INIT("le"), 0x2264 },
    { BYTES_INIT("lfloor"), 0x230a }, { BYTES_INIT("lowast"), 0x2217 },
    { BYTES_INIT("loz"), 0x25ca }, { BYTES_INIT("lrm"), 0x200e }, { BYTES_INIT("lsaquo"), 0x2039 },
    { BYTES_INIT("lsquo"), 0x2018 }, { BYTES_INIT("lt"), 0x3c }, { BYTES_INIT("macr"), 0xaf },
    { BYTES_INIT("mdash"), 0x2014 }, { BYTES_INIT("micro"), 0xb5 }, { BYTES_INIT("middot"), 0xb7 },
    { BYTES_INIT("minus"), 0x2212 }, { BYTES_INIT("mu"), 0x3bc }, { BYTES_INIT("nabla"), 0x2207 },
    { BYTES_INIT("nbsp"), 0xa0 }, { BYTES_INIT("ndash"), 0x2013 }, { BYTES_INIT("ne"), 0x2260 },
    { BYTES_INIT("ni"), 0x220b }, { BYTES_INIT("not"), 0xac }, { BYTES_INIT("notin"), 0x2209 },
    { BYTES_INIT("nsub"), 0x2284 }, { BYTES_INIT("ntilde"), 0xf1 }, { BYTES_INIT("nu"), 0x3bd },
    { BYTES_INIT("oacute"), 0xf3 }, { BYTES_INIT("ocirc"), 0xf4 }, { BYTES_INIT("oelig"), 0x153 },
    { BYTES_INIT("ograve"), 0xf2 }, { BYTES_INIT("oline"), 0x203e },
    { BYTES_INIT("omega"), 0x3c9 }, { BYTES_INIT("omicron"), 0x3bf },
    { BYTES_INIT("oplus"), 0x2295 }, { BYTES_INIT("or"), 0x2228 }, { BYTES_INIT("ordf"), 0xaa },
    { BYTES_INIT("ordm"), 0xba }, { BYTES_INIT("oslash"), 0xf8 }, { BYTES_INIT("otilde"), 0xf5 },
    { BYTES_INIT("otimes"), 0x2297 }, { BYTES_INIT("ouml"), 0xf6 }, { BYTES_INIT("para"), 0xb6 },
    { BYTES_INIT("part"), 0x2202 }, { BYTES_INIT("permil"), 0x2030 },
    { BYTES_INIT("perp"), 0x22a5 }, { BYTES_INIT("phi"), 0x3c6 }, { BYTES_INIT("pi"), 0x3c0 },
    { BYTES_INIT("piv"), 0x3d6 }, { BYTES_INIT("plusmn"), 0xb1 }, { BYTES_INIT("pound"), 0xa3 },
    { BYTES_INIT("prime"), 0x2032 }, { BYTES_INIT("prod"), 0x220f },
    { BYTES_INIT("prop"), 0x221d }, { BYTES_INIT("psi"), 0x3c8 }, { BYTES_INIT("quot"), 0x22 },
    { BYTES_INIT("rArr"), 0x21d2 }, { BYTES_INIT("radic"), 0x221a },
    { BYTES_INIT("rang"), 0x232a }, { BYTES_INIT("raquo"), 0xbb }, { BYTES_INIT("rarr"), 0x2192 },
    { BYTES_INIT("rceil"), 0x2309 }, { BYTES_INIT("rdquo"), 0x201d },
    { BYTES_INIT("real"), 0x211c }, { BYTES_INIT("reg"), 0xae }, { BYTES_INIT("rfloor"), 0x230b },
    { BYTES_INIT("rho"), 0x3c1 }, { BYTES_INIT("rlm"), 0x200f }, { BYTES_INIT("rsaquo"), 0x203a },
    { BYTES_INIT("rsquo"), 0x2019 }, { BYTES_INIT("sbquo"), 0x201a },
    { BYTES_INIT("scaron"), 0x161 }, { BYTES_INIT("sdot"), 0x22c5 }, { BYTES_INIT("sect"), 0xa7 },
    { BYTES_INIT("shy"), 0xad }, { BYTES_INIT("sigma"), 0x3c3 }, { BYTES_INIT("sigmaf"), 0x3c2 },
    { BYTES_INIT("sim"), 0x223c }, { BYTES_INIT("spades"), 0x2660 }, { BYTES_INIT("sub"), 0x2282 },
    { BYTES_INIT("sube"), 0x2286 }, { BYTES_INIT("sum"), 0x2211 }, { BYTES_INIT("sup"), 0x2283 },
    { BYTES_INIT("sup1"), 0xb9 }, { BYTES_INIT("sup2"), 0xb2 }, { BYTES_INIT("sup3"), 0xb3 },
    { BYTES_INIT("supe"), 0x2287 }, { BYTES_INIT("szlig"), 0xdf }, { BYTES_INIT("tau"), 0x3c4 },
    { BYTES_INIT("there4"), 0x2234 }, { BYTES_INIT("theta"), 0x3b8 },
    { BYTES_INIT("thetasym"), 0x3d1 }, { BYTES_INIT("thinsp"), 0x2009 },
    { BYTES_INIT("thorn"), 0xfe }, { BYTES_INIT("tilde"), 0x2dc }, { BYTES_INIT("times"), 0xd7 },
    { BYTES_INIT("trade"), 0x2122 }, { BYTES_INIT("uArr"), 0x21d1 },
    { BYTES_INIT("uacute"), 0xfa }, { BYTES_INIT("uarr"), 0x2191 }, { BYTES_INIT("ucirc"), 0xfb },
    { BYTES_INIT("ugrave"), 0xf9 }, { BYTES_INIT("uml"), 0xa8 }, { BYTES_INIT("upsih"), 0x3d2 },
    { BYTES_INIT("upsilon"), 0x3c5 }, { BYTES_INIT("uuml"), 0xfc },
    { BYTES_INIT("weierp"), 0x2118 }, { BYTES_INIT("xi"), 0x3be }, { BYTES_INIT("yacute"), 0xfd },
    { BYTES_INIT("yen"), 0xa5 }, { BYTES_INIT("yuml"), 0xff }, { BYTES_INIT("zeta"), 0x3b6 },
    { BYTES_INIT("zwj"), 0x200d }, { BYTES_INIT("zwnj"), 0x200c },
    // clang-format on
};

uint32_t text_find_entity(struct bytes name)
{
    size_t low = 0;
    size_t high = ARRAY_LEN(entities);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(name, entities[middle].name);

        if (order == 0)
            return entities[middle].character;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}
