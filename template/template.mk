# Commands of the template; generated projects do not have them.

.PHONY: new template-check

new: ## Create a project from this template: make new NAME=billing [DEST=..]
	@template/new.sh "$(NAME)" "$(or $(DEST),..)"

template-check: ## Generate projects; check that they build, pass their checks and serve
	@template/check.sh
