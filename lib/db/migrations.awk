# SPDX-License-Identifier: Apache-2.0
#
# Embeds schema/NNNN_<what>.sql, in the order given, as C: one array of lines for each (a single
# string literal may not be that long). Any awk will do.

BEGIN {
    count = 0
    failed = 0
    print "/* Made from schema/ by lib/db/migrations.awk. */"
    print "#include \"db/internal.h\"\n"
    if (ARGC < 2) # no migration yet: do not wait for standard input
        exit
}

function complain(text)
{
    printf "%s: %s\n", FILENAME, text > "/dev/stderr"
    failed = 1
}

FNR == 1 {
    base = FILENAME
    sub(/^.*\//, "", base)
    if (count > 0)
        print "    NULL,\n};\n"
    count++
    if (base !~ /^[0-9][0-9][0-9][0-9]_[a-z0-9_]+\.sql$/)
        complain("NNNN_<what>.sql expected")
    # Two that are written side by side may come in either order: a number that is kept free does nothing.
    while (count < substr(base, 1, 4) + 0) {
        names[count] = "reserved"
        print "static const char *const lines_" count "[] = { \"SELECT 1;\", NULL };\n"
        count++
    }
    if (substr(base, 1, 4) + 0 != count)
        complain("number " count " expected")
    names[count] = substr(base, 6, length(base) - 9)
    print "static const char *const lines_" count "[] = {"
}
/^[ \t]*(BEGIN|COMMIT|ROLLBACK)[ \t]*(WORK|TRANSACTION)?[ \t]*;/ {
    complain("line " FNR ": a migration is one transaction and does not begin or end it itself")
}
{
    sub(/\r$/, "")
    gsub(/[\\"]/, "\\\\&")
    gsub(/\t/, "\\t")
    print "    \"" $0 "\\n\","
}

END {
    if (failed)
        exit 1
    if (count > 0)
        print "    NULL,\n};\n"
    print "static const struct db_migration migrations[] = {"
    for (i = 1; i <= count; i++)
        print "    { " i ", \"" names[i] "\", lines_" i " },"
    if (count == 0)
        print "    { 0, NULL, NULL },"
    print "};\n"
    print "struct db_migration_list db_migrations(void)"
    print "{"
    print "    return (struct db_migration_list){ migrations, " count " };"
    print "}"
}
