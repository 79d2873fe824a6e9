# Commands of the template itself; a generated project does not have them.

.PHONY: new template-check

new: ## Make a project of this template: make new NAME=billing [DEST=..]
	@template/new.sh "$(NAME)" "$(or $(DEST),..)"

template-check: ## Generate projects and prove that they build, pass their checks and serve
	@template/check.sh
