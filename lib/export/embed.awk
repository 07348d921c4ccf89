# SPDX-License-Identifier: Apache-2.0
#
# Embeds a text file of ASCII as C: an array of characters (a string literal may not be that long).

BEGIN {
    print "/* Made from lib/export/verify.sh by lib/export/embed.awk. */"
    print "#include \"export/export.h\"\n"
    print "struct bytes export_verify_script(void)\n{"
    print "    static const char text[] = {"
}
{
    line = ""
    for (i = 1; i <= length($0); i++) {
        c = substr($0, i, 1)
        line = line "'" (c == "'" || c == "\\" ? "\\" : "") c "',"
    }
    print "        " line "'\\n',"
}
END {
    print "    };\n"
    print "    return bytes_of(text, sizeof text);\n}"
}
