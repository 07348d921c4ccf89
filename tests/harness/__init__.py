# SPDX-License-Identifier: Apache-2.0
"""Real peers for the integration tests: Holdfast itself, Dovecot, mail of several corpora."""
