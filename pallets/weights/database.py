"""What a storage key costs to read and to write, trie and disk included; measured by `datdot bench pallets`.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles. Not to be edited by hand.
"""

READ_PS = 1_158_163
WRITE_PS = 57_033_239
