"""Pickles read operation by operation: what one would import, call and carry, with nothing imported and nothing called.

facts         what is known of a pickle
machine       the state of one that is being read, with everything replaced by what is known of it
calling       what its calls come to
operations    what each operation does
reading       the pickles of a file
"""
