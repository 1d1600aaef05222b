"""The regression gate: may this model take the place of the one before it?"""
